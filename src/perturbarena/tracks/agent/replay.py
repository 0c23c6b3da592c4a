"""A finished run's tools, run again with the recorded arguments: does each give what the model was told?"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.rules import load_challenge
from perturbarena.challenge.tool_files import inside_tools, tool_files
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.agent.roles import RESERVED
from perturbarena.tracks.agent.toolbox import ToolBox
from perturbarena.tracks.running.folder import RunFolder
from perturbarena.tracks.tools import ToolLimits, ToolSet, UserTools, tool_hashes

_NO_LOOKUP: Final = ("malformed", "invalid", "unknown", "limit")
"""Errors of calls that never reached a tool."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A call that gave something else."""

    id: str
    number: int
    """Of the question's calls, from 1."""
    tool: str
    arguments: dict[str, Any]
    recorded: str
    got: str


@dataclass(slots=True)
class Replay:
    """What the second time gave."""

    calls: int = 0
    same: int = 0
    questions: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """Calls of tools that are not lookups: answers, delegations, calls that were refused."""
    differences: list[Difference] = field(default_factory=list)


def replay_tools(
    folder: Path, *, challenge: str = "bioreasoning-2026", shipped: ToolSet | None = None, workers: int = 4
) -> Replay:
    """Execute every recorded lookup again, the entrant's own with the run's copy of the tools.

    Raises
    ------
    FormatError
        If the folder holds no finished agent run.
    InputError
        If the copy of the tools is not what ran, or a tool that ran does not exist here.
    """
    run = RunFolder(folder)
    manifest = _manifest(run)
    ran, settings = manifest["tools"]["files"], manifest["settings"]
    traces = run.read(list(run.positions().values()))
    if not ran:
        return _again(traces, ToolBox(shipped))
    track = load_challenge(challenge).track(settings["track"])
    found = tool_files(folder / "tools", track, name=settings["track"]).found
    here = tool_hashes({inside_tools(path, track): file for path, file in found.items()})
    if here != ran:
        name = next(name for name in sorted(ran.keys() | here.keys()) if ran.get(name) != here.get(name))
        raise InputError(f"{folder / 'tools' / name} is not the file that ran")
    limits = ToolLimits(seconds=settings["tool_seconds"], memory_mib=settings["tool_memory_mib"], workers=workers)
    with UserTools(folder / "tools", list(ran), limits=limits) as own:
        return _again(traces, ToolBox(shipped, own))


def _again(traces: Iterable[dict[str, Any]], toolbox: ToolBox) -> Replay:
    replay = Replay()
    for trace in traces:
        replay.questions += 1
        calls = [step for step in trace["steps"] if step["type"] == "tool"]
        for number, step in enumerate(calls, start=1):
            name = step["name"]
            if name in RESERVED or step["error"] in _NO_LOOKUP:
                replay.skipped[name] += 1
                continue
            if name not in toolbox:
                raise InputError(f"{trace['id']}: the tool {name} ran and does not exist here; give --knowledge")
            result = toolbox.call_now(name, step["arguments"])
            replay.calls += 1
            if (result.text, result.error) == (step["result"], step["error"]):
                replay.same += 1
                continue
            recorded = step["result"] or f"error: {step['detail']}"
            got = result.text or f"error: {result.detail}"
            replay.differences.append(Difference(trace["id"], number, name, step["arguments"], recorded, got))
    return replay


def _manifest(run: RunFolder) -> dict[str, Any]:
    if not run.manifest.is_file():
        raise FormatError(f"{run.path} holds no finished run (there is no {run.manifest.name})")
    manifest = json.loads(run.manifest.read_text(encoding="utf-8"))
    if manifest.get("kind") != "agent":
        raise FormatError(f"{run.path} holds a {manifest.get('kind')} run; --replay needs an agent run")
    return manifest
