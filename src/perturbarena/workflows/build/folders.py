"""Where a build works and how its folders appear: whole or not at all.

What is done is kept beside BENCH in a folder named by the hash of everything that decides the result, so that a
build that was killed goes on where it stood and another build never meets its leftovers.
"""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perturbarena.benchmark.folders import RECORD, SOLUTION
from perturbarena.challenge.formats import sha256, write_json
from perturbarena.errors import InputError

AUDIT_FIGURE: Final = "audit.svg"
HASH_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Folders:
    """The two folders of a build, the hash of what decides it, and where it works until they appear."""

    bench: Path
    truth: Path
    build: str

    @property
    def work(self) -> Path:
        """Results of finished stages; holds hidden labels, and is removed at the end."""
        return self.bench.with_name(f".{self.bench.name}.{self.build[:HASH_SHOWN]}.partial")

    @property
    def next_truth(self) -> Path:
        """TRUTH before it appears, beside its place."""
        return self.truth.with_name(f".{self.truth.name}.{self.build[:HASH_SHOWN]}.partial")

    def done(self) -> dict[str, Any] | None:
        """The record, if this very build stands in both folders, unchanged; None if there is nothing yet.

        Raises
        ------
        InputError
            If either folder holds something else.
        """
        for folder in (self.bench, self.truth):
            if folder.exists() and not folder.is_dir():
                raise InputError(f"{folder} must be a folder or not there; it is a file")
        if _empty(self.bench):
            if not _empty(self.truth) and not self._truth_is_ours():
                raise InputError(f"{self.truth} is not empty; give another folder for --truth, or remove it")
            return None
        record = _read_record(self.bench / RECORD)
        if record.get("build") != self.build:
            raise InputError(
                f"{self.bench} is not empty and was not made by this build (other input, settings, seed or "
                "version); give another folder for -o, or remove it"
            )
        for name, digest in record["files"].items():
            file = self.truth / name if name == SOLUTION else self.bench / name
            if not file.is_file() or sha256(file) != digest:
                raise InputError(f"{file} is not as this build made it; remove {self.bench} and {self.truth}")
        return record

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """The JSON value that a stage gave before, or gives now; that nothing could be measured is not kept."""
        path = self.work / f"{name}.json"
        if not path.exists():
            value = make()
            if "not_measured" in value:
                return value
            write_json(path, value)
        return json.loads(path.read_text("utf-8"))

    def kept(self, file: str) -> bool:
        """Whether a stage's file is there already."""
        return (self.work / file).exists()

    def publish(self, bench: Path) -> None:
        """Let TRUTH, then BENCH appear; BENCH stands for the whole, so it comes last."""
        write_json(self.work / "published.json", {"sha256": sha256(self.next_truth / SOLUTION)})
        if self._truth_is_ours():
            shutil.rmtree(self.next_truth)
        else:
            _appear(self.next_truth, self.truth)
        _appear(bench, self.bench)
        shutil.rmtree(self.work, ignore_errors=True)

    def clear_unfinished(self) -> None:
        """Remove half-made copies of the two folders; finished stages stay."""
        for folder in (self.work / "bench", self.next_truth):
            shutil.rmtree(folder, ignore_errors=True)

    def drop_if_empty(self) -> None:
        """Leave no empty work folder where the input was refused."""
        with contextlib.suppress(OSError):
            self.work.rmdir()

    def _truth_is_ours(self) -> bool:
        mark, solution = self.work / "published.json", self.truth / SOLUTION
        if not (mark.exists() and solution.is_file() and len(list(self.truth.iterdir())) == 1):
            return False
        return json.loads(mark.read_text("utf-8"))["sha256"] == sha256(solution)


def check_apart(bench: Path, truth: Path) -> None:
    """Refuse hidden labels inside what is published, and the reverse."""
    open_, sealed = bench.resolve(), truth.resolve()
    if sealed == open_ or sealed.is_relative_to(open_):
        raise InputError(f"--truth must lie outside {bench}, which is given to entrants; got {truth}")
    if open_.is_relative_to(sealed):
        raise InputError(f"-o must lie outside {truth}, which holds the hidden labels; got {bench}")


def fresh(folder: Path) -> Path:
    """An empty folder in this place, whatever stood there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def disk_error(error: OSError, folders: Folders) -> InputError:
    """One line on what the disk refused, and that the next run goes on."""
    why = "the disk is full" if _full(error) else " ".join(str(error.strerror or error).split())
    file = f" ({error.filename})" if error.filename else ""
    kept = f"; finished stages are kept in {folders.work}: run the same command again" if _full(error) else ""
    return InputError(f"cannot write the question set: {why}{file}{kept}")


def _full(error: OSError) -> bool:
    return error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)


def _empty(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def _appear(whole: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir():
        place.rmdir()
    whole.rename(place)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
