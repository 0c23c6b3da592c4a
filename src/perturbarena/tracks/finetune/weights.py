"""What a model folder holds: which files, with which hashes, and how many parameters its weights have.

Read from the files' own headers, without loading the weights, so that a model that is too big for the track is
refused before it fills the memory.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.formats import sha256
from perturbarena.errors import FormatError, InputError

ADAPTER_CONFIG: Final = "adapter_config.json"
"""What makes a folder an adapter's."""
_KEPT: Final = (".safetensors", ".bin", ".json", ".jinja", ".txt", ".model")
"""Files that decide what a model says."""
_PACKED: Final = {"I32": 8, "U8": 2}
"""Parameters in one stored number, where weights of four bits are packed; at most an overcount."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """A model folder's files by hash. ``name`` is how it was asked for: a path or a hub's name."""

    name: str
    folder: str
    sha256_of: dict[str, str]

    @property
    def digest(self) -> str:
        """One SHA-256 over all names and hashes: two folders with the same one hold the same model."""
        return hashlib.sha256(json.dumps(self.sha256_of, sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """For a manifest."""
        return {"name": self.name, "digest": self.digest, "sha256": self.sha256_of}


def model_files(folder: Path, *, name: str | None = None) -> ModelFiles:
    """Hash weights, configuration, tokenizer and prompt of a model or adapter folder.

    Raises
    ------
    InputError
        If the folder holds no such file.
    """
    found = sorted(path for path in folder.iterdir() if path.is_file() and path.suffix in _KEPT)
    if not found:
        raise InputError(f"{folder} holds no model (no weights, no configuration)")
    return ModelFiles(name or str(folder), str(folder), {path.name: sha256(path) for path in found})


def stored_parameters(folder: Path) -> int | None:
    """Parameters in a folder's safetensors files; None where the weights are stored in another way.

    Tied weights that a file holds once count once. Weights packed to four bits count unpacked.

    Raises
    ------
    FormatError
        If a file's header cannot be read.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return None
    return sum(_in_file(path) for path in files)


def _in_file(path: Path) -> int:
    """The header is a length (8 bytes, little endian) and that many bytes of JSON: name → dtype, shape, place."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(100_000_000, path.stat().st_size):
                raise ValueError("its header is longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        return sum(math.prod(t["shape"]) * _PACKED.get(t["dtype"], 1) for t in header.values())
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise FormatError(f"{path} is no safetensors file: {' '.join(str(error).split())}") from error


def base_of_adapter(folder: Path) -> str:
    """The name of the model that an adapter was trained on.

    Raises
    ------
    FormatError
        If the adapter's configuration does not say.
    """
    path = folder / ADAPTER_CONFIG
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} does not name the adapter's base model") from error
    if not isinstance(name, str) or not name:
        raise FormatError(f"{path} does not name the adapter's base model")
    return name
