"""The folder of a training: what is written when, and what a killed training leaves behind.

=====================  =======================================================================================
``settings.json``      written first: resolved settings and hashes of the inputs; another start must match it
``base/``              the small model, where one was made on the spot
``checkpoints/``       what a killed training goes on from; removed at the end
``history.csv``        loss and validation by step, rewritten as the training goes
``model/``             adapter or whole model, tokenizer, ``prompt.json``
``validation.csv``     the finished model's answers to the rows held back
``curves.svg``         the history, drawn
``train.json``         the manifest, written last: a folder without it holds an unfinished training
=====================  =======================================================================================
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.formats import write_json
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.finetune.course import CHECKPOINTS, HISTORY
from perturbarena.tracks.finetune.models import TRAINED

FORMAT_VERSION: Final = 1
"""Of the folder: ``settings.json`` and ``train.json`` carry it."""
MANIFEST: Final = "train.json"


class TrainingFolder:
    """The paths of a training."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "settings.json"
        self.history = path / HISTORY
        self.model = path / TRAINED
        self.validation = path / "validation.csv"
        self.curves = path / "curves.svg"
        self.manifest = path / MANIFEST

    @contextlib.contextmanager
    def open(self, settings: dict[str, Any]) -> Iterator[None]:
        """Hold the folder for one training with these settings.

        Raises
        ------
        InputError
            If it holds a finished training, one with other settings, or other files; or another process holds it.
        """
        if self.manifest.exists():
            raise InputError(f"{self.path} holds a finished training; choose another folder (-o)")
        if not self.settings.is_file() and self.path.is_dir() and any(self.path.iterdir()):
            raise InputError(f"{self.path} holds other files; choose a new or empty folder (-o)")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error}") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(
                    f"{self.path} is in use by another training; choose another folder (-o)"
                ) from error
            self._hold_to(settings)
            yield
        finally:
            os.close(lock)

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, then drop what only an unfinished training needs."""
        write_json(self.manifest, {"format_version": FORMAT_VERSION} | manifest)
        shutil.rmtree(self.path / CHECKPOINTS, ignore_errors=True)
        (self.path / ".lock").unlink(missing_ok=True)

    def _hold_to(self, settings: dict[str, Any]) -> None:
        wanted = json.loads(json.dumps({"format_version": FORMAT_VERSION} | settings))
        if not self.settings.is_file():
            write_json(self.settings, wanted)
            return
        before = json.loads(self.settings.read_text(encoding="utf-8"))
        changed = _difference(before, wanted)
        if changed is not None:
            raise InputError(
                f"{self.path} was begun with another {changed}; choose another folder (-o), or the same settings "
                "to go on"
            )


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished training.

    Raises
    ------
    FormatError
        If the folder holds none, or one of another format version.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{folder} holds no finished training (no readable {MANIFEST})") from error
    if version != FORMAT_VERSION:
        raise FormatError(f"{path} has format version {version}; this version reads {FORMAT_VERSION}")
    return manifest


def _difference(before: Any, wanted: Any, at: str = "") -> str | None:
    """The first key whose values differ, dotted; None where all are equal."""
    if isinstance(before, dict) and isinstance(wanted, dict):
        for key in (*wanted, *before):
            found = _difference(before.get(key), wanted.get(key), f"{at}.{key}" if at else str(key))
            if found is not None:
                return found
        return None
    return None if before == wanted else at
