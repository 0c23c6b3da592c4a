"""Which files of a folder are an entry's tools: the run that executes them and the packer must agree."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from perturbarena.challenge.rules import Track
from perturbarena.errors import FormatError, InputError


class ToolFiles(NamedTuple):
    """``found``: path in the zip → file; ``left_out``: hidden files and what the layout ignores."""

    found: dict[str, Path]
    left_out: list[str]


def tool_files(folder: Path, track: Track, *, name: str) -> ToolFiles:
    """The files of a folder of tools that a submission to this track holds.

    Raises
    ------
    InputError
        If the track takes no tools, or a link stands among them.
    FormatError
        If there is no such folder.
    """
    root = _root(track)
    if root is None:
        raise InputError(f"track {name} takes no tools; leave out --tools")
    if not folder.is_dir():
        raise FormatError(f"no such folder: {folder}")
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
    return ToolFiles(found, left_out)


def inside_tools(path: str, track: Track) -> str:
    """A tool's path inside the zip → its path inside the folder of tools."""
    return path.removeprefix(f"{_root(track)}/")


def _root(track: Track) -> str | None:
    entry = next((e for e in track.layout if e.role == "tools" and e.need != "forbidden"), None)
    return None if entry is None else entry.path.split("*", 1)[0].rsplit("/", 1)[0]
