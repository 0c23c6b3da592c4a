"""The folder of a run: what is written when, and what a killed run leaves behind.

==========================  ==================================================================================
``settings.json``           written first: what decides the answers, and the hash of questions and prompts
``prompt.txt``              the template (or a sample of the prompts), ready for ``submit pack --prompt``
``traces/answers.jsonl``    one line for each question, appended in one write when its calls are done
``logs/*.eval``             inspect's log
``predictions.csv``         the track's columns; written when all questions are done
``run.json``                the manifest, written last: a folder without it holds an unfinished run
==========================  ==================================================================================

A line that was cut short by a kill is dropped on the next start; its question counts as not yet asked. When a
question is asked again, its last line counts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.formats import write_json
from perturbarena.errors import FormatError, InputError

FORMAT_VERSION: Final = 1
"""Of the folder: ``settings.json``, ``run.json`` and the lines of ``traces/answers.jsonl`` carry it."""
_SYNC_SECONDS: Final = 1.0
"""A kill loses nothing that was written; only a power cut can, and then at most this long."""


class RunFolder:
    """The paths and the trace file of a run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.settings = path / "settings.json"
        self.prompt = path / "prompt.txt"
        self.traces = path / "traces" / "answers.jsonl"
        self.logs = path / "logs"
        self.predictions = path / "predictions.csv"
        self.manifest = path / "run.json"
        self._handle: int | None = None
        self._offset = 0
        self._synced = 0.0

    @contextlib.contextmanager
    def open(self, settings: dict[str, Any]) -> Iterator[dict[str, int]]:
        """Hold the folder and give the position of each finished question's line; it grows with :meth:`append`.

        Raises
        ------
        InputError
            If another process holds the folder, or it belongs to a run with other settings.
        """
        try:
            self.traces.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise InputError(f"cannot write {self.path}: {error}") from error
        try:
            _lock(lock, self.path)
            self._hold_to(settings)
            self._repair()
            self._handle = os.open(self.traces, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._offset = os.fstat(self._handle).st_size
            self._at = self.positions()
            yield self._at
        finally:
            if self._handle is not None:
                os.fsync(self._handle)
                os.close(self._handle)
                self._handle = None
            os.close(lock)

    def append(self, trace: dict[str, Any]) -> None:
        """Write one question's trace; when this returns, a kill does not lose it."""
        assert self._handle is not None, "append belongs inside open()"
        line = json.dumps({"format_version": FORMAT_VERSION} | trace, ensure_ascii=False, allow_nan=False)
        data = line.encode("utf-8", errors="replace") + b"\n"
        written = os.write(self._handle, data)
        while written < len(data):
            written += os.write(self._handle, data[written:])
        self._at[trace["id"]] = self._offset
        self._offset += len(data)
        if time.monotonic() - self._synced > _SYNC_SECONDS:
            os.fsync(self._handle)
            self._synced = time.monotonic()

    def positions(self) -> dict[str, int]:
        """Where the last line of each id begins; nothing is kept in memory but that."""
        return {trace["id"]: at for at, trace in self._lines()}

    def unanswered(self) -> set[str]:
        """Ids whose last line has a call without an answer."""
        bad: dict[str, bool] = {}
        for _, trace in self._lines():
            bad[trace["id"]] = any(not call["answered"] for call in trace["calls"])
        return {id_ for id_, is_bad in bad.items() if is_bad}

    def read(self, positions: Iterator[int] | list[int]) -> Iterator[dict[str, Any]]:
        """The traces that begin at these positions."""
        with self.traces.open("rb") as file:
            for at in positions:
                file.seek(at)
                yield json.loads(file.readline())

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        if not self.traces.is_file():
            return
        at = 0
        with self.traces.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    trace = json.loads(line)
                    known = trace["format_version"] == FORMAT_VERSION and isinstance(trace["id"], str)
                except (ValueError, KeyError, TypeError) as error:
                    raise FormatError(f"{self.traces} is damaged on line {number}") from error
                if not known:
                    raise FormatError(
                        f"{self.traces}: format version {FORMAT_VERSION} is needed; "
                        f"got {trace['format_version']} (line {number})"
                    )
                yield at, trace
                at += len(line)

    def _hold_to(self, settings: dict[str, Any]) -> None:
        # through JSON and back, so that tuples compare as the lists they are stored as
        wanted = json.loads(json.dumps({"format_version": FORMAT_VERSION} | settings))
        if not self.settings.is_file():
            if self.traces.is_file() and self.traces.stat().st_size:
                raise FormatError(f"{self.path} holds traces but no settings.json; choose another folder")
            write_json(self.settings, wanted)
            return
        before = json.loads(self.settings.read_text(encoding="utf-8"))
        for key in (*wanted, *before):
            if wanted.get(key) != before.get(key):
                raise InputError(
                    f"{self.path} was run with {key} {_short(before.get(key))}, not {_short(wanted.get(key))}; "
                    "choose another folder (-o) or the same settings"
                )

    def _repair(self) -> None:
        """Cut off a last line that a kill left unfinished."""
        if not self.traces.is_file():
            return
        with self.traces.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            end = size = file.tell()
            while end:
                step = min(end, 1 << 16)
                file.seek(end - step)
                newline = file.read(step).rfind(b"\n")
                if newline >= 0:
                    end = end - step + newline + 1
                    break
                end -= step
            if end < size:
                file.truncate(end)


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError(f"{path} is in use by another run; wait for it or choose another folder (-o)") from error


def _short(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 80 else f"{shown[:77]}…"
