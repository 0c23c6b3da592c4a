"""Traces → track C's table. Columns come from the rules, by role; rows stream, so memory stays flat.

``tokens_used`` counts the tokens that the model wrote, all samples together; where only likelihoods were computed
it wrote none, and the trace says so and gives the three log-likelihoods.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perturbarena.challenge.formats import atomic
from perturbarena.challenge.records import LABELS
from perturbarena.challenge.rules import Challenge, Column
from perturbarena.tracks.finetune.inference import InferenceSettings
from perturbarena.tracks.finetune.rerank import Reranked
from perturbarena.tracks.finetune.samples import LIKELIHOOD, one_answer, whole_text
from perturbarena.tracks.prompt.table import Tally
from perturbarena.tracks.running.cells import text_cell


def write_finetuned_table(
    path: Path, traces: Iterable[dict[str, Any]], *, challenge: Challenge, settings: InferenceSettings
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
            answer = one_answer(trace["calls"], settings)
            writer.writerow([_cell(column, trace, answer, challenge, settings) for column in track.columns])
    return tally


def _cell(
    column: Column,
    trace: Mapping[str, Any],
    answer: Reranked | None,
    challenge: Challenge,
    settings: InferenceSettings,
) -> object:
    calls = trace["calls"]
    match column.role:
        case "id":
            return trace["id"]
        case "p_up":
            return settings.unanswered[0] if answer is None else answer.p_up
        case "p_down":
            return settings.unanswered[1] if answer is None else answer.p_down
        case "trace":
            return text_cell(trace_text(calls, answer), challenge)
        case "tokens_used":
            return sum(call["output_tokens"] for call in calls)
        case "prompt_tokens":
            return max((call["prompt_tokens"] for call in calls), default=0)
        case "model":
            return settings.model_name
        case _:
            return 0 if column.type in ("count", "probability") else challenge.empty_text


def trace_text(calls: Sequence[Mapping[str, Any]], answer: Reranked | None) -> str:
    """All samples, each under its number; one that says what came out of them stands last.

    A reader of the trace who looks for the conclusion then finds the one that was drawn.
    """
    if len(calls) == 1:
        return _said(calls[0])
    last = _last(calls, answer)
    order = [i for i in range(len(calls)) if i != last] + ([] if last is None else [last])
    return "\n\n".join(f"[sample {i + 1} of {len(calls)}{_scored(calls[i])}]\n{_said(calls[i])}" for i in order)


def _last(calls: Sequence[Mapping[str, Any]], answer: Reranked | None) -> int | None:
    if answer is None:
        return None
    if answer.chosen is not None:
        return answer.chosen
    return next((i for i, call in enumerate(calls) if call["answered"] and call["label"] == answer.label), None)


def _scored(call: Mapping[str, Any]) -> str:
    return "" if "score" not in call else f", the critic's score {call['score']:.3f}"


def _said(call: Mapping[str, Any]) -> str:
    if call.get("how") == LIKELIHOOD:
        return _computed(call)
    return whole_text(call)


def _computed(call: Mapping[str, Any]) -> str:
    """For a row whose model wrote nothing: what was computed in place of it."""
    found = ", ".join(f"{label} {value:.4f}" for label, value in zip(LABELS, call["log_likelihood"], strict=True))
    none = max(1.0 - call["p_up"] - call["p_down"], 0.0)
    return (
        f"Nothing was written: the likelihood of each answer was computed. Log-likelihoods: {found}.\n"
        f"P_up={call['p_up']:.6f}, P_down={call['p_down']:.6f}, P_none={none:.6f}"
    )
