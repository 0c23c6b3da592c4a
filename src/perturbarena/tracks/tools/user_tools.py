"""A folder of an entrant's own tools, each call answered by a fenced process that can be ended at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from perturbarena.challenge.formats import sha256
from perturbarena.errors import InputError
from perturbarena.tracks.tools.schema import ToolSchema

_WORKER: Final = Path(__file__).with_name("worker.py")
_START_SECONDS: Final = 60.0
"""For loading the tools' files: large tables take a while."""
_LONGEST_REPLY: Final = 8 * 2**20
"""Bytes; a tool that answers more is ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """What a call of an entrant's tool may take."""

    seconds: float = 30.0
    """Wall-clock time of a call."""
    memory_mib: int = 2048
    """Address space of a process, the interpreter included."""
    workers: int = 4
    """Processes at most; each answers one call at a time."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call gave: a text, or an error of a kind with its detail; and what the fence held back meanwhile."""

    text: str
    error: str = ""
    detail: str = ""
    seconds: float = 0.0
    blocked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a folder holds, and which fence really stood when its files were loaded."""

    schemas: tuple[ToolSchema, ...]
    containment: Mapping[str, str]


class UserTools:
    """The tools of a folder. Close it, or use it in a ``with`` block: it owns processes.

    Raises
    ------
    InputError
        If a file cannot be loaded or a function cannot be a tool.
    """

    def __init__(self, folder: Path, files: Sequence[str], *, limits: ToolLimits | None = None) -> None:
        self.folder, self.limits = folder.resolve(), limits or ToolLimits()
        self._files = [name for name in files if name.endswith(".py")]
        self._idle: queue.LifoQueue[_Worker] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(self.limits.workers)
        self._base = Path(tempfile.mkdtemp(prefix="perturbarena-tools-"))
        (self._base / "canary").write_text("a tool that can read this is not fenced in\n")
        self.blocked: Counter[str] = Counter()
        try:
            first = self._worker()
        except InputError:
            self.close()
            raise
        self.loaded = first.loaded
        self._idle.put(first)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool and wait; a call that takes too long ends with its process."""
        with self._slots:
            began = time.monotonic()
            try:
                worker = self._idle.get_nowait()
            except queue.Empty:
                worker = self._worker()
            result = worker.call(name, arguments, self.limits.seconds)
            if worker.alive:
                self._idle.put(worker)
            else:
                worker.end()
        self.blocked.update(result.blocked)
        seconds = time.monotonic() - began
        return ToolResult(result.text, result.error, result.detail, seconds, result.blocked)

    def close(self) -> None:
        """End every process and remove the scratch folders."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().end()
        shutil.rmtree(self._base, ignore_errors=True)

    def _worker(self) -> _Worker:
        return _Worker(self.folder, self._files, base=self._base, limits=self.limits)


class _Worker:
    """One fenced process."""

    def __init__(self, folder: Path, files: Sequence[str], *, base: Path, limits: ToolLimits) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=base))
        self._limits = limits
        self._buffer = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=_environment(self._scratch),
            start_new_session=True,
        )
        paths = _packages()
        order = {
            "folder": str(folder),
            "files": list(files),
            "paths": paths,
            "readable": [*_system(), *paths, str(folder)],
            "scratch": str(self._scratch),
            "canary": str(base / "canary"),
            "memory_mib": limits.memory_mib,
            "start_seconds": _START_SECONDS,
        }
        reply = self._ask(order, _START_SECONDS)
        if isinstance(reply, str):
            self.end()
            raise InputError(f"{folder}: the tools could not be loaded: {reply}")
        if reply["failed"]:
            self.end()
            held = f" (held back: {', '.join(reply['blocked'])})" if reply["blocked"] else ""
            raise InputError(f"{folder}: {reply['failed']}{held}")
        containment = {**reply["containment"], "time": f"ended after {limits.seconds:g} s"}
        self.loaded = Loaded(tuple(ToolSchema(**tool) for tool in reply["tools"]), containment)

    @property
    def alive(self) -> bool:
        """False once it has been ended or has died."""
        return self._process.poll() is None

    def call(self, name: str, arguments: Mapping[str, Any], seconds: float) -> ToolResult:
        """One call; afterwards the process may be gone."""
        reply = self._ask({"name": name, "arguments": dict(arguments), "seconds": seconds}, seconds)
        if isinstance(reply, str):
            kind = "time" if reply.startswith("no reply") else "died"
            self.end()
            return ToolResult("", kind, reply, blocked={kind: 1})
        blocked = dict(reply["blocked"]) | ({"memory": 1} if reply["error"] == "memory" else {})
        return ToolResult(reply["result"], reply["error"], reply["detail"], blocked=blocked)

    def end(self) -> None:
        """Kill it with all it may have started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _ask(self, message: Mapping[str, Any], seconds: float) -> dict[str, Any] | str:
        """The reply, or why there is none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return self._last_words()
        handle, until = self._process.stdout.fileno(), time.monotonic() + seconds
        while b"\n" not in self._buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([handle], [], [], left)[0]:
                return f"no reply within {seconds:g} s; the process was ended"
            data = os.read(handle, 1 << 16)
            if not data:
                return self._last_words()
            self._buffer += data
            if len(self._buffer) > _LONGEST_REPLY:
                return f"died: its reply has more than {_LONGEST_REPLY:,} bytes"
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            return "died: its reply is not JSON"

    def _last_words(self) -> str:
        code = self._process.wait()
        return f"died by signal {-code}" if code < 0 else f"died with exit code {code}"


def tool_hashes(files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each file by its path inside the folder of tools."""
    return {inside: sha256(path) for inside, path in sorted(files.items())}


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of the caller's environment, which may hold keys."""
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    places = dict.fromkeys(("HOME", "TMPDIR", "MPLCONFIGDIR"), str(scratch))
    return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **places, **one_thread}


def _packages() -> list[str]:
    """Where installed packages lie, this one among them."""
    own = str(Path(__file__).resolve().parents[3])
    prefixes = tuple(str(Path(p)) + os.sep for p in (sys.prefix, sys.base_prefix))
    installed = [path for path in sys.path if path.startswith(prefixes) and Path(path).is_dir()]
    return list(dict.fromkeys([*installed, own]))


def _system() -> list[str]:
    """What the interpreter and native libraries read."""
    real = {str(Path(p).resolve()) for p in (sys.prefix, sys.base_prefix)} | {sys.prefix, sys.base_prefix}
    return [*sorted(real), "/usr", "/lib", "/lib64", "/sys/devices/system/cpu", "/proc/cpuinfo", "/proc/meminfo"]
