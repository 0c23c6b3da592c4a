"""Packing a submission: the same input gives the same bytes.

Entries are sorted, carry one fixed time and one fixed mode, and are deflated at one fixed level. (Another version
of zlib may deflate differently; the unpacked content is the same everywhere.)
"""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from perturbarena.challenge.formats import atomic, sha256
from perturbarena.challenge.rules import Challenge, Track
from perturbarena.challenge.tool_files import inside_tools, tool_files
from perturbarena.errors import FormatError, InputError
from perturbarena.submission.disclosure import parse_disclosure

_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can state."""
_MODE: Final = 0o100644 << 16
_UNIX: Final = 3
_LEVEL: Final = 6
_GZIP: Final = b"\x1f\x8b"
_MANIFEST: Final = "run.json"
"""Written beside a run's table; it holds the hashes of the tools that ran."""


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
        If a required file is not given, one is given that the track forbids, a link stands among the tools, or the
        table comes from a run (``run.json`` beside it) that ran other tools.
    FormatError
        If a file is missing or the disclosure is not valid.
    """
    rules = challenge.track(track)
    sources = {rules.table_path: predictions}
    left_out: list[str] = []
    if prompt is not None:
        sources[_exact_path(rules, "prompt", track)] = prompt
    if tools is not None:
        found, left_out = tool_files(tools, rules, name=track)
        _check_ran(predictions, tools, found, rules)
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


def _check_ran(predictions: Path, tools: Path, found: Mapping[str, Path], track: Track) -> None:
    """Where the table lies in the folder of a run with tools, only the files that ran are packed."""
    manifest = predictions.parent / _MANIFEST
    if not manifest.is_file():
        return
    try:
        ran = (json.loads(manifest.read_text(encoding="utf-8")).get("tools") or {}).get("files")
    except (ValueError, AttributeError) as error:
        raise FormatError(f"{manifest} is not a run's manifest") from error
    if ran is None:
        return
    given = {inside_tools(path, track): sha256(file) for path, file in found.items()}
    for name in sorted(ran.keys() | given.keys()):
        if ran.get(name) != given.get(name):
            how = (
                "did not run"
                if name not in ran
                else "is missing"
                if name not in given
                else "is not the one that ran"
            )
            raise InputError(
                f"{tools / name} {how}; pack what made {predictions.name}: --tools {predictions.parent / 'tools'}"
            )


def _check_complete(track: Track, name: str, sources: dict[str, Path]) -> None:
    for entry in track.layout:
        if entry.need == "required" and not any(track.entry_for(path) == entry for path in sources):
            option = {"prompt": " (--prompt FILE)", "tools": " (--tools DIR)"}.get(entry.role, "")
            raise InputError(f"track {name} needs {entry.path}: {entry.meaning}{option}")


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    return path
