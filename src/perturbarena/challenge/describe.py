"""What follows from a rules file for people: its documentation as Markdown, and sample submissions.

``docs/challenges.md`` holds the text that :func:`markdown` returns, word for word; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import (
    Biology,
    Challenge,
    Column,
    Decision,
    Entry,
    Labels,
    LimitName,
    Limits,
    Model,
    Sampling,
    Score,
    Statement,
    Track,
)

_LIMITS: dict[LimitName, str] = {
    "max_prompt_tokens": "Prompt tokens per question, at most",
    "max_tool_calls": "Tool calls per question, at most",
    "max_distinct_tools": "Different tools, at most",
    "max_new_tokens": "New tokens per question, at most",
    "max_parameters": "Parameters of the model, fewer than",
}


def sample_table(challenge: Challenge, track: Track, questions: Questions) -> pd.DataFrame:
    """A table in which nothing is answered: one row per question, columns in the track's order.

    Where the track fixes the model, its name is filled in and the table is valid as it is; else the name is the
    one thing that must be filled in.
    """
    cells = {column.name: _unanswered(challenge, column, questions) for column in track.columns}
    if (model := track.find("model")) is not None and track.model.fixed:
        cells[model.name] = [track.model.fixed] * len(questions)
    return pd.DataFrame(cells, columns=list(track.column_names))


def markdown(challenge: Challenge) -> str:
    """The challenge's rules as Markdown: what the data are, each track's tables, the decisions."""
    biology, labels, score = challenge.biology, challenge.labels, challenge.score
    up, down = challenge.unanswered
    facts = [
        ("Name", f"`{challenge.name}`"),
        ("Species, cells", f"{biology.species}, {biology.cell}"),
        ("Perturbation", biology.perturbation),
        ("Stimulus", biology.stimulus),
        ("up", labels.up),
        ("down", labels.down),
        ("none", labels.none),
        ("Score", score.definition),
        ("DE separates by", f"`{score.de}`"),
        ("DIR separates by", f"`{score.direction}`"),
        ("Metric's behaviour", f"`{score.behaviour}`"),
        ("Unanswered row", f"p_up {up:.4g}, p_down {down:.4g}; text `{challenge.empty_text}`, counts 0"),
        ("Training data", challenge.training_data),
        ("Published at", ", ".join(f"<{s}>" for s in challenge.sources) or "–"),
    ]
    parts = [f"## {challenge.title}", markdown_table(("What", "Rule"), facts)]
    for name, track in challenge.tracks.items():
        parts += _track(name, track)
    if challenge.decisions:
        rows = [
            (d.topic, "; ".join(f"{s.source}: {s.value}" for s in d.says), f"**{d.resolved}**", d.why)
            for d in challenge.decisions
        ]
        parts += [
            "### Where the sources contradict each other",
            markdown_table(("Topic", "Sources", "Here", "Why"), rows),
        ]
    return "\n\n".join(parts) + "\n"


def schema_markdown() -> str:
    """Every key of a rules file as a Markdown table, from the schema's own docstrings."""
    tables = {
        "top level": Challenge, "[biology]": Biology, "[labels]": Labels, "[score]": Score, "[tracks.NAME]": Track,
        "model": Model, "sampling": Sampling, "limits": Limits, "columns": Column, "layout": Entry,
        "[[decisions]]": Decision, "says": Statement,
    }  # fmt: skip
    rows = [
        (
            f"`{where}`",
            f"`{key}`",
            "yes" if field.is_required() else "no",
            " ".join((field.description or "").split()),
        )
        for where, model in tables.items()
        for key, field in model.model_fields.items()
    ]
    return markdown_table(("Where", "Key", "Required", "Meaning"), rows) + "\n"


def _track(name: str, track: Track) -> list[str]:
    parts = [f"### Track {name}: {track.title}", track.description]
    parts.append(markdown_table(("What", "Rule"), _track_facts(track)))
    columns = [(f"`{c.name}`", c.type, _bounds(track, c), c.meaning) for c in track.columns]
    parts.append(markdown_table((f"Column of `{track.table_path}`", "Type", "Allowed", "Meaning"), columns))
    parts.append(markdown_table(("Path in the zip", "Need", "Meaning"), [_entry(e) for e in track.layout]))
    return parts


def _track_facts(track: Track) -> list[tuple[str, str]]:
    facts = [("Model", f"`{track.model.fixed}`" if track.model.fixed else "the entrant's choice")]
    if track.model.examples:
        facts.append(("For example", ", ".join(f"`{m}`" for m in track.model.examples)))
    if track.sampling:
        facts.append(("Sampling", f"temperature {track.sampling.temperature}, top_p {track.sampling.top_p}"))
    if track.seeds:
        facts.append(("Seeds", ", ".join(map(str, track.seeds))))
    if track.aggregation:
        tolerance = f"within {track.aggregation_tolerance:g}"
        facts.append(("Prediction", f"{track.aggregation} of the seeds' answers, {tolerance}"))
    if track.calls_per_question:
        facts.append(("Calls per question and seed", str(track.calls_per_question)))
    for limit, words in _LIMITS.items():
        value = getattr(track.limits, limit)
        if value is not None:
            facts.append((words, f"{value:,}"))
    facts += [("Allowed", _sentences(track.allowed)), ("Not allowed", _sentences(track.not_allowed))]
    return [(what, rule) for what, rule in facts if rule]


def _bounds(track: Track, column: Column) -> str:
    if column.type == "probability":
        return "0 to 1"
    if column.type == "count":
        limit = track.limit_of(column)
        return "whole number, 0 or more" if limit is None else f"whole number, 0 to {limit:,}"
    if column.type == "id":
        return "each question's id once"
    return "not blank" if column.type == "text" else "one model on all rows"


def _entry(entry: Entry) -> tuple[str, str, str]:
    return f"`{entry.path}`", entry.need, entry.meaning


def _sentences(lines: Iterable[str]) -> str:
    return "; ".join(lines)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; a bar inside a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _unanswered(challenge: Challenge, column: Column, questions: Questions) -> object:
    n = len(questions)
    if column.type == "id":
        return list(questions.id)
    if column.type == "probability":
        up, down = challenge.unanswered
        return [up if column.role == "p_up" else down if column.role == "p_down" else 0.0] * n
    return [0 if column.type == "count" else challenge.empty_text] * n
