"""Named arrays in one file, whole or not at all, with a version; a damaged file is an error with its name."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from perturbarena.challenge.formats import atomic
from perturbarena.errors import FormatError

VERSION = "format_version"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], *, version: int) -> None:
    """A compressed ``.npz``; the same arrays give the same bytes."""
    with atomic(path, binary=True) as file:
        np.savez_compressed(file, **{VERSION: np.array(version)}, **arrays)  # pyright: ignore[reportArgumentType]


def read_arrays(path: Path, *, version: int) -> dict[str, np.ndarray]:
    """What :func:`write_arrays` wrote.

    Raises
    ------
    FormatError
        If the file is missing, damaged or of another version.
    """
    try:
        # from memory: NumPy leaves a file open that turns out to be no archive
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as stored:
            found = {name: stored[name] for name in stored.files}
        written = int(found[VERSION])
    except (OSError, KeyError, ValueError, EOFError, AttributeError, zipfile.BadZipFile, TypeError) as error:
        raise FormatError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if written != version:
        raise FormatError(f"{path}: format version {version} is needed; got {written}")
    return found
