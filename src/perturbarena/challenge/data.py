"""Data sets as data: where a file comes from, what its bytes must be, under which licence, whom to cite.

A file is downloaded once into a cache, or taken from a folder, and checked against its SHA-256 before it appears
under its name. Where no hash is declared ("unpinned") the first copy's hash is written into ``lock.json`` in the
cache, and every later copy must have it. The entries stand in ``catalogue/datasets.toml``; a new data set needs no
code.
"""

from __future__ import annotations

import contextlib
import difflib
import gzip
import hashlib
import json
import os
import re
import shutil
import tomllib
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import IO, Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from perturbarena.challenge.formats import atomic, sha256, write_json
from perturbarena.errors import DataUnavailableError

UNPINNED: Final = "unpinned"
"""Stands for a hash that is not known yet."""
CACHE_VARIABLE: Final = "PERTURBARENA_CACHE"
"""The environment variable that names another cache folder."""
LOCK: Final = "lock.json"
"""In the cache: the hashes of unpinned files, as first seen."""
_TIMEOUT: Final = 30.0
"""Seconds without a byte after which a download is given up."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path:
        raise ValueError("must be a relative path without ..")
    return path


def _hash(value: str) -> str:
    if value != UNPINNED and not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError('must be 64 hexadecimal digits or "unpinned"')
    return value


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataFile(_Entry):
    """One file of a data set."""

    path: Annotated[str, AfterValidator(_inside)]
    """Where it lies inside the data set's folder."""
    url: Annotated[str, Field(pattern="^https?://")]
    """Where exactly these bytes are served."""
    sha256: Annotated[str, AfterValidator(_hash)]
    """SHA-256 of the bytes, or "unpinned"."""
    bytes: Annotated[int, Field(ge=0)] | None = None
    """Size; None where unknown."""


class DataSet(_Entry):
    """What there is to know of a data set before it is fetched."""

    name: str
    """Short name, as on the command line."""
    title: str
    """One line for people."""
    licence: str
    """The licence as its source states it; "none stated" where it states none."""
    citation: str
    """Whom to cite."""
    notes: str = ""
    """What a user should know."""
    files: Annotated[tuple[DataFile, ...], Field(min_length=1)]
    """The files."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is in place. ``how`` is ``downloaded``, ``copied``, or ``cached`` (it was there already)."""

    path: Path
    sha256: str
    how: Literal["downloaded", "copied", "cached"]


Progress = Callable[[str, int, int], None]
"""Called with a file's path, the bytes so far, and the bytes in all (0: unknown)."""


def data_sets(path: Path | None = None) -> dict[str, DataSet]:
    """The data sets that ship with the package, or those of another TOML file, by name."""
    return _bundled() if path is None else _parse(path.read_text(encoding="utf-8"), str(path))


@cache
def _bundled() -> dict[str, DataSet]:
    text = (resources.files("perturbarena.challenge") / "catalogue" / "datasets.toml").read_text(encoding="utf-8")
    return _parse(text, "datasets.toml")


def _parse(text: str, source: str) -> dict[str, DataSet]:
    try:
        entries = tomllib.loads(text)
        version = entries.pop("format_version", None)
        if version != 1:
            raise DataUnavailableError(f"{source}: format_version must be 1; got {version}")
        return {name: DataSet(name=name, **entry) for name, entry in entries.items()}
    except (tomllib.TOMLDecodeError, ValidationError, TypeError) as error:
        raise DataUnavailableError(f"{source} is no list of data sets: {' '.join(str(error).split())}") from error


def find_data_set(name: str) -> DataSet:
    """The bundled data set of that name; DataUnavailableError with the nearest names where there is none."""
    known = data_sets()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
    raise DataUnavailableError(f"no data set is called {name!r}; {hint}")


def cache_folder() -> Path:
    """Where downloads are kept: ``$PERTURBARENA_CACHE``, else the user's cache folder."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("perturbarena"))


def fetch(
    data_set: DataSet,
    *,
    source: Path | None = None,
    output: Path | None = None,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> list[Fetched]:
    """Put a data set's files in place and check every one.

    Parameters
    ----------
    data_set
        What to fetch.
    source
        A folder to take the files from, found by file name at any depth (``NAME.gz`` is unpacked); None downloads.
    output
        The folder for the files; None leaves them in the cache, under the data set's name.
    cache
        The cache; None is :func:`cache_folder`.
    progress
        Told how downloads proceed.

    Raises
    ------
    DataUnavailableError
        If a file cannot be had or is not what was declared. Files that failed leave nothing behind.
    """
    cache = cache_folder() if cache is None else cache
    if source is not None and not source.is_dir():
        raise DataUnavailableError(f"no such folder: {source}")
    return [
        _fetch(data_set, file, source=source, output=output, cache=cache, progress=progress)
        for file in data_set.files
    ]


def _fetch(
    data_set: DataSet,
    file: DataFile,
    *,
    source: Path | None,
    output: Path | None,
    cache: Path,
    progress: Progress | None,
) -> Fetched:
    lock = _Lock(cache / LOCK)
    key = f"{data_set.name}/{file.path}"
    want = lock.read(key) if file.sha256 == UNPINNED else file.sha256
    kept = cache / data_set.name / file.path
    target = kept if output is None else output / file.path
    if source is not None:
        found = _find(source, file)
        got = _copy(found, target, want=want, file=file)
        how = "copied"
    elif want is not None and _holds(target, want):
        return Fetched(target, want, "cached")
    elif want is not None and _holds(kept, want):
        return Fetched(target, _copy(kept, target, want=want, file=file), "cached")
    else:
        with _placing(kept, want=want, file=file, origin=file.url) as out:
            _download(file, out, progress)
        got = out.sha256.hexdigest()
        if target != kept:
            _copy(kept, target, want=got, file=file)
        how = "downloaded"
    if want is None:
        lock.write(key, sha256=got, origin=str(source or file.url))
    return Fetched(target, got, how)


def _holds(path: Path, want: str) -> bool:
    return path.is_file() and sha256(path) == want


@contextlib.contextmanager
def _placing(target: Path, *, want: str | None, file: DataFile, origin: str) -> Iterator[_Hashing]:
    """A file for writing that appears under ``target`` only when its bytes turn out right."""
    with atomic(target, binary=True) as out:
        checked = _Hashing(out)
        yield checked
        got = checked.sha256.hexdigest()
        if want is not None and got != want:
            raise DataUnavailableError(
                f"{file.path} from {origin} is not the declared file: want sha256 {want}, got {got} "
                f"({checked.size} bytes)"
            )
        if want is None and file.bytes is not None and checked.size != file.bytes:
            raise DataUnavailableError(f"{file.path} from {origin} needs {file.bytes} bytes; got {checked.size}")


class _Hashing:
    """A file for writing that hashes what passes through."""

    def __init__(self, out: IO[bytes]) -> None:
        self.out = out
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self.out.write(data)

    def flush(self) -> None:
        self.out.flush()


def _copy(source: Path, target: Path, *, want: str | None, file: DataFile) -> str:
    """Copy, unpacking ``NAME.gz`` where NAME is wanted; return the SHA-256 of what was written."""
    packed = source.name == f"{PurePosixPath(file.path).name}.gz"
    with _placing(target, want=want, file=file, origin=str(source)) as out:
        try:
            with gzip.open(source, "rb") if packed else source.open("rb") as content:
                shutil.copyfileobj(content, out)
        except (OSError, EOFError, zlib.error) as error:
            raise DataUnavailableError(f"cannot read {source}: {' '.join(str(error).split())}") from error
    return out.sha256.hexdigest()


def _find(source: Path, file: DataFile) -> Path:
    name = PurePosixPath(file.path).name
    for place in (source / file.path, source / name, source / f"{name}.gz"):
        if place.is_file():
            return place
    found = sorted(place for wanted in (name, f"{name}.gz") for place in source.rglob(wanted) if place.is_file())
    if not found:
        raise DataUnavailableError(f"no file called {name} in {source}")
    if len({sha256(place) for place in found}) > 1:
        raise DataUnavailableError(f"several different files are called {name} in {source}; first {found[0]}")
    return found[0]


def _download(file: DataFile, out: _Hashing, progress: Progress | None) -> None:
    import pooch
    import requests

    # without this, servers may send a .gz file's bytes unpacked
    headers = {"Accept-Encoding": "identity"}
    bar: Any = _Bar(file.path, progress) if progress else False
    try:
        pooch.HTTPDownloader(progressbar=bar, headers=headers, timeout=_TIMEOUT)(file.url, out, None)
    except requests.RequestException as error:
        raise DataUnavailableError(
            f"cannot download {file.url}: {' '.join(str(error).split())}; with the file at hand, "
            "give its folder with --from"
        ) from error


class _Bar:
    """What pooch asks of a progress bar, as calls of one function."""

    def __init__(self, path: str, tell: Progress) -> None:
        self.path, self.tell = path, tell
        self.total = self.done = 0

    def update(self, n: int) -> None:
        self.done += n
        self.tell(self.path, min(self.done, self.total) if self.total else self.done, self.total)

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        """Nothing is held open."""


class _Lock:
    """``lock.json``: the hash of each unpinned file as it was first seen."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, key: str) -> str | None:
        entry = self._entries().get(key)
        return None if entry is None else entry["sha256"]

    def write(self, key: str, *, sha256: str, origin: str) -> None:
        write_json(self.path, {**self._entries(), key: {"sha256": sha256, "from": origin}})

    def _entries(self) -> dict[str, dict[str, str]]:
        if not self.path.is_file():
            return {}
        try:
            entries = json.loads(self.path.read_text(encoding="utf-8"))
            return {key: {"sha256": entry["sha256"], "from": entry["from"]} for key, entry in entries.items()}
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise DataUnavailableError(
                f"{self.path} is damaged ({error}); mend it, or delete it to record unpinned files anew"
            ) from error
