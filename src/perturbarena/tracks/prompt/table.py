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
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.cells import text_cell


@dataclass(slots=True)
class Tally:
    """What a run's traces hold, over all its starts."""

    questions: int = 0
    answered: int = 0
    """Questions with an answer for every seed."""
    partly: int = 0
    """Questions with an answer for some seeds."""
    unanswered: int = 0
    """Questions without any answer; they stand in the table with the rules' values for such."""
    calls: int = 0
    calls_unanswered: Counter[str] = field(default_factory=Counter)
    """Calls without an answer, by reason."""
    how: Counter[str] = field(default_factory=Counter)
    """Answered calls by the way their answer was read."""
    label: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    """Answers that were asked for again, by reason."""
    failures: Counter[str] = field(default_factory=Counter)
    """Requests that failed, by kind."""
    tokens: int = 0
    prompt_tokens: int = 0
    """The sum over questions."""
    max_prompt_tokens: int = 0
    """The longest prompt, by the server's count."""

    def add(self, trace: dict[str, Any]) -> None:
        """Count one question."""
        calls = trace["calls"]
        n = sum(call["answered"] for call in calls)
        self.questions += 1
        self.answered += n == len(calls)
        self.partly += 0 < n < len(calls)
        self.unanswered += n == 0
        self.calls += len(calls)
        for call in calls:
            if call["answered"]:
                self.how[call["how"]] += 1
                self.label[call["label"]] += 1
            else:
                self.calls_unanswered[call["reason"]] += 1
            self.rejected.update(call["rejected"])
            self.failures.update(call["failures"])
        self.tokens += _tokens_used(calls)
        prompt = _prompt_tokens(calls)
        self.prompt_tokens += prompt
        self.max_prompt_tokens = max(self.max_prompt_tokens, prompt)

    def as_json(self) -> dict[str, Any]:
        """Counters as plain objects, most frequent first."""
        own = {name: getattr(self, name) for name in self.__slots__}
        return {k: dict(v.most_common()) if isinstance(v, Counter) else v for k, v in own.items()}


def write_run_table(
    path: Path, traces: Iterable[dict[str, Any]], *, challenge: Challenge, settings: PromptSettings
) -> Tally:
    """Write the table atomically and count what it holds."""
    track = challenge.track(settings.track)
    tally = Tally()
    with atomic(path) as file:
        # texts are quoted throughout: a lone carriage return would else end a line for some readers
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(track.column_names)
        for trace in traces:
            tally.add(trace)
            by_seed = {call["seed"]: call for call in trace["calls"]}
            means = _means(trace["calls"], settings)
            writer.writerow([
                _cell(column, trace, by_seed, means, challenge=challenge, settings=settings)
                for column in track.columns
            ])  # fmt: skip
    return tally


def _cell(
    column: Column,
    trace: dict[str, Any],
    by_seed: dict[int, dict[str, Any]],
    means: dict[str, float],
    *,
    challenge: Challenge,
    settings: PromptSettings,
) -> object:
    calls = trace["calls"]
    match column.role:
        case "id":
            return trace["id"]
        case "p_up" | "p_down":
            if column.seed is None:
                return means[column.role]
            return _probability(by_seed.get(column.seed), column.role, settings)
        case "trace":
            own = calls if column.seed is None else [by_seed[column.seed]] if column.seed in by_seed else []
            return text_cell("\n\n".join(filter(None, map(_written, own))), challenge)
        case "tokens_used":
            return _tokens_used(calls)
        case "prompt_tokens":
            return _prompt_tokens(calls)
        case "model":
            return settings.model_name
        case _:
            return 0 if column.type in ("count", "probability") else challenge.empty_text


def _probability(call: dict[str, Any] | None, role: str, settings: PromptSettings) -> float:
    if call is not None and call["answered"]:
        return call[role]
    return settings.unanswered[0 if role == "p_up" else 1]


def _means(calls: list[dict[str, Any]], settings: PromptSettings) -> dict[str, float]:
    return {
        role: sum(_probability(call, role, settings) for call in calls) / len(calls) for role in ("p_up", "p_down")
    }


def _written(call: dict[str, Any]) -> str:
    return "\n\n".join(part for part in (call["reasoning"], call["content"]) if part.strip())


def _tokens_used(calls: list[dict[str, Any]]) -> int:
    return sum(call["total_tokens"] for call in calls)


def _prompt_tokens(calls: list[dict[str, Any]]) -> int:
    return max((call["prompt_tokens"] for call in calls), default=0)
