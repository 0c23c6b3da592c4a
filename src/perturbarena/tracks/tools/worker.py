"""The process that holds a folder of tools: ``python -I -B worker.py``, JSON lines in and out.

The first line says what to load and which fence to raise; each further line is one call. The fence stands before
the first line of the tools' own code runs.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import math
import os
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

_GRACE = 5
"""Seconds beyond its limit after which a call ends its own process, should nobody be left to end it."""


def main() -> None:
    """Load, say what is there, then answer calls until the input ends."""
    lines, reply = sys.stdin, _private_output()
    order = json.loads(lines.readline())
    here = Path(__file__).resolve().parent
    schema, contain = (_load(name, here / f"{name}.py") for name in ("schema", "contain"))
    attempts: Counter[str] = Counter()
    contain.limit_resources(order["memory_mib"])
    contain.confine_files(order["readable"], order["scratch"])
    contain.filter_calls()
    held = contain.probe(order["canary"], order["memory_mib"])
    contain.guard(order["readable"], order["scratch"], attempts)
    _deadline(order["start_seconds"])
    sys.path[:0] = [order["folder"], *order["paths"]]
    functions, failed = _functions(order["folder"], order["files"])
    tools: list[Any] = []
    try:
        tools = [schema.describe(function, name=name)._asdict() for name, function in functions.items()]
    except schema.ToolSchemaError as error:
        failed = failed or str(error)
    _deadline(None)
    _say(reply, {"tools": tools, "failed": failed, "containment": held, "blocked": dict(attempts)})
    for line in lines:
        attempts.clear()
        call = json.loads(line)
        _deadline(call["seconds"])
        answer = _answer(functions[call["name"]], call["arguments"])
        _deadline(None)
        _say(reply, answer | {"blocked": dict(attempts)})


def _private_output() -> TextIO:
    """The pipe to the caller, out of the way of tools that print."""
    reply = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    return reply


def _load(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _functions(folder: str, files: list[str]) -> tuple[dict[str, Any], str]:
    """Public functions that each file defines itself; or why they could not be loaded."""
    found: dict[str, Any] = {}
    for file in files:
        name = file.removesuffix(".py").replace("/", ".")
        try:
            module = _load(name, Path(folder) / file)
        except BaseException as error:  # noqa: BLE001 (a stranger's file may raise anything, SystemExit too)
            return {}, f"{file}: {_last_line(error)}"
        for key, value in vars(module).items():
            if inspect.isfunction(value) and not key.startswith("_") and value.__module__ == name:
                if key in found:
                    return {}, f"{file}: two tools are named {key}; rename one"
                found[key] = value
    return found, ""


def _answer(function: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        value = function(**arguments)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    except MemoryError:
        return {"result": "", "error": "memory", "detail": "the tool needs more memory than it may have"}
    except BaseException as error:  # noqa: BLE001 (whatever a stranger's tool raises is an answer to its caller)
        return {"result": "", "error": "raised", "detail": _last_line(error)}
    return {"result": text, "error": "", "detail": ""}


def _last_line(error: BaseException) -> str:
    return " ".join(traceback.format_exception_only(error)[-1].split())[:500]


def _deadline(seconds: float | None) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(0 if seconds is None else math.ceil(seconds) + _GRACE)


def _say(reply: TextIO, message: dict[str, Any]) -> None:
    reply.write(json.dumps(message) + "\n")
    reply.flush()


if __name__ == "__main__":
    main()
