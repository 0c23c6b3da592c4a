"""Traces → the track's table. Columns come from the rules, by role; rows stream, so memory stays flat."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perturbarena.challenge.formats import atomic
from perturbarena.challenge.rules import Challenge, Column
from perturbarena.tracks.agent.settings import AgentSettings
from perturbarena.tracks.agent.trace import as_text, numbers
from perturbarena.tracks.running.cells import text_cell


@dataclass(slots=True)
class AgentTally:
    """What a run's traces hold, over all its starts."""

    questions: int = 0
    answered: int = 0
    unanswered: Counter[str] = field(default_factory=Counter)
    """Questions without an answer, by reason; they stand in the table with the rules' values for such."""
    how: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    """Turns without a call or a report that were asked for again, by reason."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that failed, by kind."""
    requests: int = 0
    """Requests that a model answered."""
    tokens: int = 0
    tool_calls: int = 0
    most_tool_calls: int = 0
    """Of one question."""
    cut: int = 0
    """Calls taken off a model's message because they did not fit into the limit."""
    tools: Counter[str] = field(default_factory=Counter)
    """Calls by tool."""
    tool_errors: Counter[str] = field(default_factory=Counter)
    """Calls that ended in an error, by kind."""
    blocked: Counter[str] = field(default_factory=Counter)
    """What entrants' tools attempted and the fence held back, by kind."""

    def add(self, trace: dict[str, Any]) -> None:
        """Count one question."""
        found = numbers(trace["steps"])
        self.questions += 1
        self.answered += trace["answered"]
        if trace["answered"]:
            self.how[trace["how"]] += 1
        else:
            self.unanswered[trace["reason"]] += 1
        self.rejected.update(trace["rejected"])
        self.failures.update(trace["failures"])
        self.requests += found.requests
        self.tokens += found.tokens
        self.tool_calls += found.tool_calls
        self.most_tool_calls = max(self.most_tool_calls, found.tool_calls)
        self.cut += found.cut
        for step in trace["steps"]:
            if step["type"] == "tool":
                self.tools[step["name"]] += 1
                self.tool_errors.update([step["error"]] if step["error"] else [])
                self.blocked.update(step["blocked"])

    def as_json(self) -> dict[str, Any]:
        """Counters as plain objects, most frequent first."""
        own = {name: getattr(self, name) for name in self.__slots__}
        return {k: dict(v.most_common()) if isinstance(v, Counter) else v for k, v in own.items()}


@dataclass(frozen=True, slots=True)
class Shown:
    """What agents are shown, the same for every question."""

    prompt_tokens: int
    """Of the longest system prompt with its tools."""
    distinct_tools: int


def write_agent_table(
    path: Path, traces: Iterable[dict[str, Any]], *, challenge: Challenge, settings: AgentSettings, shown: Shown
) -> AgentTally:
    """Write the table atomically and count what it holds."""
    track = challenge.track(settings.track)
    tally = AgentTally()
    with atomic(path) as file:
        # texts are quoted throughout: a lone carriage return would else end a line for some readers
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(track.column_names)
        for trace in traces:
            tally.add(trace)
            writer.writerow([_cell(c, trace, challenge, settings, shown) for c in track.columns])
    return tally


def _cell(
    column: Column, trace: dict[str, Any], challenge: Challenge, settings: AgentSettings, shown: Shown
) -> object:
    found = numbers(trace["steps"])
    match column.role:
        case "id":
            return trace["id"]
        case "p_up":
            return trace["p_up"] if trace["answered"] else settings.unanswered[0]
        case "p_down":
            return trace["p_down"] if trace["answered"] else settings.unanswered[1]
        case "trace":
            return text_cell(as_text(trace["steps"]), challenge)
        case "tokens_used":
            return found.tokens
        case "tool_calls":
            return found.tool_calls
        case "prompt_tokens":
            return shown.prompt_tokens
        case "distinct_tools":
            return shown.distinct_tools
        case "model":
            return settings.model_name
        case _:
            return 0 if column.type in ("count", "probability") else challenge.empty_text
