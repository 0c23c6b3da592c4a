"""Backup and restore: one archive with every table, every stored file, the rules, the questions and the truth.

Tables are read in one transaction that sees a single moment, while the board goes on; stored files never change,
so whatever those tables name is there. The archive does not depend on the database it came from: what was kept in
SQLite may be restored into PostgreSQL. It holds the sealed truth and is written for its owner alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from sqlalchemy import LargeBinary, Table, func, insert, select, text
from sqlalchemy.orm import Session

from perturbarena import __version__
from perturbarena.errors import BoardError, FormatError
from perturbarena.leaderboard.events import ChainReport, stamp, verify_chain
from perturbarena.leaderboard.folder import ChallengeFolder, database_url
from perturbarena.leaderboard.migrate import schema_revision, upgrade
from perturbarena.leaderboard.schema import Base, Job, Submission, TruthVersion, UtcTime, WebSession
from perturbarena.leaderboard.store import Store, make_engine, utc_now

FORMAT_VERSION: Final = 1
"""Of the archive."""
MANIFEST: Final = "backup.json"
_LEFT_OUT: Final = {WebSession.__tablename__}
"""Tables that a backup does without: browsers sign in again."""
_ROWS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class BackupReport:
    """A backup: rows by table, stored files, bytes of the archive, and the state of the log within it."""

    path: Path
    rows: dict[str, int]
    n_files: int
    size: int
    chain: ChainReport


def back_up(store: Store, target: Path) -> BackupReport:
    """Write a backup as a tar archive, atomically, with mode 0600.

    Raises
    ------
    BoardError
        If a stored file is missing or damaged, or the log's chain is broken: such a backup would be worth nothing.
    """
    chain = verify_chain(store)
    if not chain.ok:
        raise BoardError(f"the log is damaged: {chain.why}", reason="storage")
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")  # mode 0600
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
            rows, n_files = _write(store, tar)
            tar.close()
            raw.flush()
            os.fsync(raw.fileno())
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return BackupReport(target, rows, n_files, target.stat().st_size, chain)


def restore(
    source: Path, folder: Path, *, url: str | None = None, clock: Callable[[], datetime] = utc_now
) -> Store:
    """Make a challenge's folder and database from a backup; the opened store.

    Everything is verified by its hash before the folder gets its name.

    Raises
    ------
    FormatError
        If the archive is not a backup, is of another version, or is damaged.
    BoardError
        If the folder or the database is not empty (conflict).
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BoardError(f"{folder} is there already; give a new or an empty folder", reason="conflict")
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    try:
        with _opened(source) as tar:
            manifest = _manifest(tar, source)
            _unpack(tar, manifest, part, source)
        _write_config(ChallengeFolder(part), url)
        store = Store(ChallengeFolder(part), make_engine(database_url(ChallengeFolder(part), url)), clock=clock)
        _fill(store, manifest, part / "tables")
        chain = verify_chain(store)
        if not chain.ok or chain.last != manifest["log"]["last"]:
            raise FormatError(f"{source}: the log does not hold: {chain.why or 'it ends elsewhere'}")
        store.close()
        shutil.rmtree(part / "tables")
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    place = ChallengeFolder(folder)
    return Store(place, make_engine(database_url(place, url)), clock=clock)


def _write(store: Store, tar: tarfile.TarFile) -> tuple[dict[str, int], int]:
    """Tables, files, and last the manifest; rows by table, and the number of stored files."""
    hashes: dict[str, str] = {}
    rows: dict[str, int] = {}
    with store.reading() as session:
        for table in Base.metadata.sorted_tables:
            if table.name not in _LEFT_OUT:
                with tempfile.TemporaryFile() as file:
                    rows[table.name] = _dump(session, table, file)
                    _add(tar, f"tables/{table.name}.jsonl", file, hashes)
        stored = sorted(set(session.scalars(select(Submission.sha256))))
        sealed = list(session.execute(select(TruthVersion.file, TruthVersion.sha256)))
        last = session.execute(text("SELECT hash FROM event ORDER BY seq DESC LIMIT 1")).scalar()
    for sha in stored:
        name = f"files/{sha[:2]}/{sha}.zip"
        _add_file(tar, name, store.folder.file(sha), hashes, expected=sha)
    for name, sha in sealed:
        _add_file(tar, f"truth/{name}", store.folder.truth / name, hashes, expected=sha)
    for path in (store.folder.rules, store.folder.questions, *sorted((store.folder.path / "public").glob("*"))):
        _add_file(tar, str(path.relative_to(store.folder.path)), path, hashes)
    manifest = {
        "format_version": FORMAT_VERSION, "perturbarena": __version__, "made_at": stamp(store.now()),
        "schema": schema_revision(store.engine), "rows": rows, "log": {"last": last}, "sha256": hashes,
    }  # fmt: skip
    content = json.dumps(manifest, indent=2).encode()
    _add(tar, MANIFEST, io.BytesIO(content), {})
    return rows, len(stored)


def _dump(session: Session, table: Table, file: IO[bytes]) -> int:
    n = 0
    columns = list(table.columns)
    query = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in session.execute(query):
        record = {c.name: _plain(value) for c, value in zip(columns, row, strict=True)}
        file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        n += 1
    return n


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return stamp(value)
    return value.hex() if isinstance(value, bytes) else value


def _add_file(
    tar: tarfile.TarFile, name: str, path: Path, hashes: dict[str, str], *, expected: str | None = None
) -> None:
    try:
        with path.open("rb") as file:
            _add(tar, name, file, hashes)
    except OSError as error:
        raise BoardError(f"{path} cannot be read: {error.strerror}", reason="storage") from error
    if expected is not None and hashes[name] != expected:
        raise BoardError(f"{path} is damaged: its SHA-256 is {hashes[name]}", reason="storage")


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes], hashes: dict[str, str]) -> None:
    file.seek(0)
    hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
    info = tarfile.TarInfo(name)
    info.size, info.mode = file.seek(0, os.SEEK_END), 0o600
    file.seek(0)
    tar.addfile(info, file)


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    if not source.is_file():
        raise FormatError(f"no such file: {source}")
    try:
        with tarfile.open(source, mode="r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError, json.JSONDecodeError, KeyError, UnicodeDecodeError) as error:
        raise FormatError(f"{source} is not a whole backup: {error}") from error


def _manifest(tar: tarfile.TarFile, source: Path) -> dict[str, Any]:
    file = tar.extractfile(MANIFEST)
    manifest = {} if file is None else json.load(file)
    if manifest.get("format_version") != FORMAT_VERSION:
        got = manifest.get("format_version")
        raise FormatError(f"{source} has the format version {got}; this program reads {FORMAT_VERSION}")
    return manifest


def _unpack(tar: tarfile.TarFile, manifest: dict[str, Any], folder: Path, source: Path) -> None:
    """Every file that the manifest names, under its name, if its bytes are the ones that were kept."""
    for name, expected in manifest["sha256"].items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise FormatError(f"{source}: {name!r} is not a path within the challenge")
        member = tar.extractfile(name)
        if member is None:
            raise FormatError(f"{source}: {name!r} is not a file")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with target.open("wb") as file:
            target.chmod(0o600)
            while chunk := member.read(2**20):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != expected:
            raise FormatError(f"{source}: {name} is damaged")
    for name in ("files", "truth"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name).chmod(0o700)


def _write_config(folder: ChallengeFolder, url: str | None) -> None:
    from perturbarena.leaderboard.organise import config_text

    folder.incoming.mkdir(parents=True, exist_ok=True)
    (folder.path / "public").mkdir(exist_ok=True)
    folder.config.write_text(config_text(url), encoding="utf-8")


def _fill(store: Store, manifest: dict[str, Any], tables: Path) -> None:
    if schema_revision(store.engine) is not None:
        raise BoardError("the database is not empty; give an empty one", reason="conflict")
    upgrade(store)
    if schema_revision(store.engine) != manifest["schema"]:
        raise FormatError(f"the backup has the schema {manifest['schema']}; this version reads another")
    with store.writing() as session:
        for table in Base.metadata.sorted_tables:
            if table.name in manifest["rows"]:
                _load(session, table, tables / f"{table.name}.jsonl")
        for job in session.scalars(select(Job).where(Job.state == "running")):
            job.state, job.leased_by, job.lease_until = "waiting", None, None  # its worker is not in the backup
        if store.engine.dialect.name == "postgresql":
            _set_sequences(session)


def _load(session: Session, table: Table, path: Path) -> None:
    times = {c.name for c in table.columns if isinstance(c.type, UtcTime)}
    blobs = {c.name for c in table.columns if isinstance(c.type, LargeBinary)}
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            record = json.loads(line)
            for name in times:
                record[name] = None if record[name] is None else datetime.fromisoformat(record[name])
            for name in blobs:
                record[name] = bytes.fromhex(record[name])
            rows.append(record)
            if len(rows) == _ROWS_AT_ONCE:
                session.execute(insert(table), rows)
                rows = []
    if rows:
        session.execute(insert(table), rows)


def _set_sequences(session: Session) -> None:
    """PostgreSQL's counters go on after the rows that were put in with their numbers."""
    for table in Base.metadata.sorted_tables:
        key = next(iter(table.primary_key.columns))
        sequence = session.scalar(select(func.pg_get_serial_sequence(table.name, key.name)))
        if sequence is not None:
            top = session.scalar(select(func.max(key)))
            session.execute(select(func.setval(sequence, top or 1, top is not None)))
