"""What happened in one question, in order; every number of a run is computed from this and from nothing else."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple


class Numbers(NamedTuple):
    """Of one question."""

    tool_calls: int
    """Calls of tools by all agents: lookups, delegations, answers, and those that were refused."""
    tokens: int
    """Read and written, over every request that was answered."""
    requests: int
    tool_errors: int
    cut: int
    """Calls that a model asked for and that did not fit into the limit; they were taken off its message."""


class Recorder:
    """Collects the steps of one question."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._began = time.monotonic()

    def add(self, kind: str, agent: str, **what: Any) -> dict[str, Any]:
        """One step, with the time since the question began."""
        # arguments come from a model: NaN and infinity are no JSON, so they are kept as words
        what = json.loads(json.dumps(what), parse_constant=str)
        at = round(time.monotonic() - self._began, 3)
        step = {"type": kind, "agent": agent, "at": at, **what}
        self.steps.append(step)
        return step

    @property
    def seconds(self) -> float:
        """Since the question began."""
        return round(time.monotonic() - self._began, 3)


def numbers(steps: Iterable[dict[str, Any]]) -> Numbers:
    """The numbers of a question from its steps."""
    total: Counter[str] = Counter()
    for step in steps:
        if step["type"] == "tool":
            total["tool_calls"] += 1
            total["tool_errors"] += bool(step["error"])
        elif step["type"] == "model":
            total["tokens"] += step["total_tokens"]
            total["requests"] += 1
            total["cut"] += step["cut"]
    return Numbers(*(total[name] for name in Numbers._fields))


def as_text(steps: Iterable[dict[str, Any]]) -> str:
    """The steps for people: who said what, which tool was called with what and gave what."""
    lines: list[str] = []
    for step in steps:
        match step["type"]:
            case "model":
                said = [part for part in (step["reasoning"], step["content"]) if part.strip()]
                lines += [f"[{step['agent']}] {text.strip()}" for text in said]
            case "tool":
                gave = step["result"] or f"error: {step['detail']}"
                lines.append(f"[{step['agent']}] {step['name']}({step['written']}) -> {gave}")
            case _:
                pass
    return "\n\n".join(lines)
