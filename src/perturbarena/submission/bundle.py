"""Packing a submission: the same input gives the same bytes.

Entries are sorted, carry one fixed time and one fixed mode, and are deflated at one fixed level. (Another version
of zlib may deflate differently; the unpacked content is the same everywhere.)
"""

from __future__ import annotations

import gzip
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from perturbarena.challenge.formats import atomic, sha256
from perturbarena.challenge.rules import Challenge, Track
from perturbarena.errors import FormatError, InputError
from perturbarena.submission.disclosure import parse_disclosure

_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can state."""
_MODE: Final = 0o100644 << 16
_UNIX: Final = 3
_LEVEL: Final = 6
_GZIP: Final = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A packed submission: the zip, its hash, the paths inside, and what was left out of the tools folder."""

    path: Path
    sha256: str
    files: tuple[str, ...]
    left_out: tuple[str, ...]


def pack(
    predictions: Path,
    output: Path,
    *,
    challenge: Challenge,
    track: str,
    prompt: Path | None = None,
    tools: Path | None = None,
    disclosure: Path | None = None,
) -> Bundle:
    """Write a submission's zip, atomically, in the layout of its track.

    ``predictions`` may be gzipped. Of ``tools``, hidden files and what the layout ignores are left out.

    Raises
    ------
    InputError
        If a required file is not given, one is given that the track forbids, or a link stands among the tools.
    FormatError
        If a file is missing or the disclosure is not valid.
    """
    rules = challenge.track(track)
    sources = {rules.table_path: predictions}
    left_out: list[str] = []
    if prompt is not None:
        sources[_exact_path(rules, "prompt", track)] = prompt
    if tools is not None:
        found, left_out = _tool_files(tools, rules, track)
        sources.update(found)
    if disclosure is not None:
        parse_disclosure(_existing(disclosure).read_bytes(), source=str(disclosure))
        sources[_exact_path(rules, "disclosure", track, suffix=disclosure.suffix)] = disclosure
    _check_complete(rules, track, sources)
    for source in sources.values():
        _existing(source)
    with atomic(output, binary=True) as file, zipfile.ZipFile(file, "w") as archive:
        for name in sorted(sources):
            _add(archive, name, sources[name])
    return Bundle(output, sha256(output), tuple(sorted(sources)), tuple(left_out))


def _add(archive: zipfile.ZipFile, name: str, source: Path) -> None:
    info = zipfile.ZipInfo(name, _TIME)
    info.create_system, info.external_attr, info.compress_type = _UNIX, _MODE, zipfile.ZIP_DEFLATED
    info._compresslevel = _LEVEL  # pyright: ignore[reportAttributeAccessIssue]  # ZipFile.open takes no level
    with source.open("rb") as raw:
        zipped = raw.read(2) == _GZIP
        raw.seek(0)
        content: IO[bytes] = gzip.GzipFile(fileobj=raw) if zipped else raw  # pyright: ignore[reportAssignmentType]
        try:
            with archive.open(info, "w") as target:
                shutil.copyfileobj(content, target, 2**20)
        except (gzip.BadGzipFile, EOFError) as error:
            raise FormatError(f"{source} is a damaged gzip file: {error}") from error


def _exact_path(track: Track, role: str, name: str, *, suffix: str = "") -> str:
    """Where a given file belongs in the zip."""
    for entry in track.layout:
        if entry.role == role and entry.need in ("required", "optional") and entry.path.endswith(suffix):
            return entry.path
    raise InputError(f"track {name} has no place for this file: {role}{' ' + suffix if suffix else ''}")


def _tool_files(folder: Path, track: Track, name: str) -> tuple[dict[str, Path], list[str]]:
    """Path in the zip → file, for a folder of tools; and what is left out of it."""
    entry = next((e for e in track.layout if e.role == "tools" and e.need != "forbidden"), None)
    if entry is None:
        raise InputError(f"track {name} takes no tools; leave out --tools")
    if not folder.is_dir():
        raise FormatError(f"no such folder: {folder}")
    root = entry.path.split("*", 1)[0].rsplit("/", 1)[0]
    found: dict[str, Path] = {}
    left_out: list[str] = []
    for file in sorted(folder.rglob("*")):
        inside = file.relative_to(folder)
        if file.is_symlink():
            raise InputError(f"{file} is a link; a bundle holds plain files only, so put the file itself there")
        if not file.is_file():
            continue
        path = f"{root}/{inside.as_posix()}"
        matched = track.entry_for(path)
        hidden = any(part.startswith(".") for part in inside.parts)
        if hidden or matched is None or matched.need in ("ignored", "forbidden"):
            left_out.append(inside.as_posix())
        else:
            found[path] = file
    return found, left_out


def _check_complete(track: Track, name: str, sources: dict[str, Path]) -> None:
    for entry in track.layout:
        if entry.need == "required" and not any(track.entry_for(path) == entry for path in sources):
            option = {"prompt": " (--prompt FILE)", "tools": " (--tools DIR)"}.get(entry.role, "")
            raise InputError(f"track {name} needs {entry.path}: {entry.meaning}{option}")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    return path
