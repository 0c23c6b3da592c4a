"""Reading a zip from a stranger: nothing is unpacked to disk, nothing is believed, nothing is read without bound.

Every entry is judged from the directory before a byte of it is unpacked; an entry with a problem is never read.
What is read is counted while it streams, so that a directory that lies about sizes gains nothing.
"""

from __future__ import annotations

import io
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, BinaryIO, Final

from perturbarena.errors import FormatError
from perturbarena.submission.problems import Findings

MIB: Final = 2**20
CHUNK: Final = MIB

_ARCHIVE_SUFFIXES: Final = (
    ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".jar", ".whl", ".egg", ".lz4",
)  # fmt: skip
_ARCHIVE_MAGIC: Final = (
    b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c",
    b"Rar!", b"\x28\xb5\x2f\xfd",
)  # fmt: skip
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UTF8_NAME: Final = 0x800
_ENCRYPTED: Final = 0x1 | 0x40


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How much a submission may hold.

    An agent's traces of some thousand questions take tens of megabytes and deflate to a quarter; deflate's best
    is about 1 : 1,000, which only padding reaches.
    """

    max_archive_bytes: int = 256 * MIB
    """Size of the zip itself."""
    max_directory_bytes: int = MIB
    """Size of the zip's table of contents, which is read as a whole."""
    max_entries: int = 1_000
    max_entry_bytes: int = 512 * MIB
    """Unpacked size of one entry."""
    max_total_bytes: int = 768 * MIB
    """Unpacked size of all entries."""
    max_ratio: int = 200
    """Unpacked over packed size, for entries that unpack to more than ``ratio_from_bytes``."""
    ratio_from_bytes: int = MIB
    max_name_chars: int = 255


class Archive:
    """An open zip. ``files`` are the entries that are safe to read, by path.

    ``refused`` are paths that are there but may not be read; None where the table of contents was not looked at.
    """

    def __init__(
        self,
        handle: zipfile.ZipFile,
        files: dict[str, zipfile.ZipInfo],
        limits: ArchiveLimits,
        *,
        refused: frozenset[str] | None,
    ) -> None:
        self._handle = handle
        self.refused = refused
        self.files: MappingProxyType[str, zipfile.ZipInfo] = MappingProxyType(files)
        self._limits = limits

    @contextmanager
    def stream(self, path: str) -> Iterator[BinaryIO]:
        """A file's bytes, decompressed as they are read. FormatError where the entry is damaged."""
        with _damage(path):
            entry = self._handle.open(self.files[path])
        with entry:  # what the reader of the stream raises is the reader's own
            yield io.BufferedReader(_Counted(entry, path, self._limits.max_entry_bytes), CHUNK)

    def read(self, path: str, max_bytes: int) -> bytes | None:
        """A small file's bytes, or None where it is longer than ``max_bytes``."""
        with self.stream(path) as file:
            content = file.read(max_bytes + 1)
        return None if len(content) > max_bytes else content


@contextmanager
def open_archive(
    path: Path | str, findings: Findings, *, limits: ArchiveLimits | None = None
) -> Iterator[Archive]:
    """Open a zip, report what is unsafe about it, and offer the rest.

    Raises
    ------
    FormatError
        If the file is missing or is not a zip that can be read.
    """
    limits = limits or ArchiveLimits()
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    size = path.stat().st_size
    if size > limits.max_archive_bytes:
        findings.add("archive.size", f"the zip has {size:,} bytes, more than {limits.max_archive_bytes:,}")
        with zipfile.ZipFile(io.BytesIO(), "w") as empty:
            yield Archive(empty, {}, limits, refused=None)
        return
    with _damage(str(path)):
        raw = _Guarded(path, limits.max_directory_bytes)
    with raw:
        with _damage(str(path)):
            handle = zipfile.ZipFile(raw)  # pyright: ignore[reportArgumentType]
        with handle:
            entries = handle.infolist()
            files = _safe_entries(entries, limits, findings)
            refused = frozenset(e.orig_filename for e in entries) - set(files)
            yield Archive(handle, files, limits, refused=refused)


def _safe_entries(
    entries: list[zipfile.ZipInfo], limits: ArchiveLimits, findings: Findings
) -> dict[str, zipfile.ZipInfo]:
    """The files that may be read, by path; everything else is reported."""
    if len(entries) > limits.max_entries:
        findings.add(
            "archive.entries", f"the zip holds {len(entries):,} entries, more than {limits.max_entries:,}"
        )
        return {}
    total = sum(e.file_size for e in entries)
    if total > limits.max_total_bytes:
        findings.add("archive.size", f"the zip unpacks to {total:,} bytes, more than {limits.max_total_bytes:,}")
    safe: dict[str, zipfile.ZipInfo] = {}
    seen: dict[str, str] = {}
    for entry in entries:
        problems = list(_entry_problems(entry, limits))
        name = entry.orig_filename
        key = _key(name)
        if key in seen:
            problems.append(("archive.duplicate", f"{name!r} collides with {seen[key]!r}"))
            safe.pop(seen[key], None)
        seen.setdefault(key, name)
        for rule, what in problems:
            findings.add(rule, what)
        if not problems and not name.endswith("/"):
            safe[name] = entry
    for name in list(safe):
        parents = [_key(name[:i]) for i, c in enumerate(name) if c == "/"]
        inside = next((seen[p] for p in parents if p in seen and not seen[p].endswith("/")), None)
        if inside is not None:
            findings.add("archive.duplicate", f"{name!r} lies inside {inside!r}, which is a file")
            del safe[name]
    return {} if total > limits.max_total_bytes else safe


def _key(name: str) -> str:
    """Equal for paths that some file system takes for the same."""
    return unicodedata.normalize("NFC", name).rstrip("/").casefold()


def _entry_problems(entry: zipfile.ZipInfo, limits: ArchiveLimits) -> Iterator[tuple[str, str]]:
    """(rule, what) for everything that is wrong with one entry of the directory."""
    name = entry.orig_filename
    yield from _name_problems(entry, limits)
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "archive.link", f"{name!r} is a {'link' if stat.S_ISLNK(mode) else 'special file'}"
    if entry.flag_bits & _ENCRYPTED:
        yield "archive.encrypted", f"{name!r} is encrypted"
    if entry.compress_type not in _METHODS:
        yield "archive.compression", f"{name!r} is compressed by method {entry.compress_type}"
    if entry.file_size > limits.max_entry_bytes:
        yield (
            "archive.size",
            f"{name!r} unpacks to {entry.file_size:,} bytes, more than {limits.max_entry_bytes:,}",
        )
    elif name.endswith("/") and entry.file_size:
        yield "archive.path", f"the folder {name!r} has content"
    if entry.file_size > max(limits.ratio_from_bytes, limits.max_ratio * entry.compress_size):
        yield "archive.ratio", f"{name!r} unpacks to {entry.file_size:,} bytes from {entry.compress_size:,}"
    if name.casefold().endswith(_ARCHIVE_SUFFIXES):
        yield "archive.nested", f"{name!r} is an archive"


def _name_problems(entry: zipfile.ZipInfo, limits: ArchiveLimits) -> Iterator[tuple[str, str]]:
    name = entry.orig_filename
    if len(name) > limits.max_name_chars:
        yield (
            "archive.name",
            f"the path {name[:40]!r}… has {len(name)} characters, more than {limits.max_name_chars}",
        )
    if not name.isprintable() or (not name.isascii() and not entry.flag_bits & _UTF8_NAME):
        yield "archive.name", f"the path {name[:80]!r} is not printable UTF-8"
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or "\\" in name or re.match(r"[A-Za-z]:", name):
        yield "archive.path", f"{name[:80]!r} is not a relative path with forward slashes"
    elif not name or any(
        part in ("", ".", "..") or part != part.strip(" ") or part.endswith(".") for part in parts
    ):
        yield "archive.path", f"{name[:80]!r} has a part that is empty, dotted or padded with blanks"


def is_archive(start: bytes) -> bool:
    """Whether a file that begins like this is an archive, whatever its name says."""
    return start.startswith(_ARCHIVE_MAGIC)


class _Guarded(io.FileIO):
    """A file that refuses single reads beyond a bound: zipfile reads the directory in one piece."""

    def __init__(self, path: Path, max_read: int) -> None:
        super().__init__(path, "r")
        self._max_read = max_read

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = self._max_read
        if size > self._max_read:
            raise zipfile.BadZipFile(f"a table of contents of {size:,} bytes, more than {self._max_read:,}")
        return super().read(size) or b""


class _Counted(io.RawIOBase):
    """A stream that stops at a number of bytes, whatever the directory promised."""

    def __init__(self, source: IO[bytes], path: str, max_bytes: int) -> None:
        super().__init__()
        self._source, self._path, self._left = source, path, max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        with _damage(self._path):
            chunk = self._source.read(min(len(buffer), CHUNK))
        self._left -= len(chunk)
        if self._left < 0:
            raise FormatError(f"{self._path} unpacks to more than its size limit")
        buffer[: len(chunk)] = chunk
        return len(chunk)


@contextmanager
def _damage(what: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, UnicodeDecodeError) as error:
        raise FormatError(f"{what} cannot be read as a zip: {' '.join(str(error).split())}") from error
    except RuntimeError as error:
        # zipfile's word for an encrypted entry whose directory said it was not
        raise FormatError(f"{what} cannot be read: {' '.join(str(error).split())}") from error
