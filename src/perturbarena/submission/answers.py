"""The answers of a submission that has been checked: ids and two probabilities out of its zip, nothing else.

Whoever scores needs three columns; traces, which are most of a submission, are passed over.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perturbarena.challenge.records import Predictions, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError
from perturbarena.submission.archive import ArchiveLimits, open_archive
from perturbarena.submission.problems import Findings
from perturbarena.submission.table import bounded_lines, long_fields


@dataclass(frozen=True, slots=True)
class Answers:
    """Predictions in the questions' order, and what the table says of how they were made.

    ``model`` is the first row's; ``tokens`` and ``tool_calls`` are means a question, None where the track has no
    such column.
    """

    predictions: Predictions
    model: str
    tokens: float | None
    tool_calls: float | None


def read_answers(
    path: Path | str,
    *,
    challenge: Challenge,
    track: str,
    questions: Questions,
    limits: ArchiveLimits | None = None,
) -> Answers:
    """Read a submission's answers.

    Raises
    ------
    FormatError
        If the zip or its table cannot be read, a column or a question's row is missing, or a cell is no number.
    """
    rules = challenge.tracks[challenge.track_name(track)]
    names = {role: column.name for role in ("id", "p_up", "p_down", "model", "tokens_used", "tool_calls")
             if (column := rules.find(role)) is not None}  # fmt: skip
    with open_archive(path, Findings(), limits=limits) as archive:
        if rules.table_path not in archive.files:
            raise FormatError(f"{path} holds no readable {rules.table_path}")
        with archive.stream(rules.table_path) as file, long_fields():
            text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
            try:
                columns = _columns(text, names, rules.table_path)
            except (UnicodeDecodeError, csv.Error) as error:
                raise FormatError(f"{rules.table_path} cannot be read: {error}") from error
            finally:
                text.detach()
    return _in_order(columns, questions, rules.table_path)


def _columns(text: io.TextIOWrapper, names: dict[str, str], table: str) -> dict[str, list[str]]:
    reader = csv.reader(bounded_lines(text), strict=True)
    header = next(reader, [])
    missing = [name for name in names.values() if name not in header]
    if missing:
        raise FormatError(f"{table} has no column {missing[0]}")
    at = {role: header.index(name) for role, name in names.items()}
    rows = [cells for cells in reader if cells]
    short = next((i for i, cells in enumerate(rows) if len(cells) != len(header)), None)
    if short is not None:
        raise FormatError(f"{table}: row {short + 2} has {len(rows[short])} cells; the header has {len(header)}")
    return {role: [cells[k] for cells in rows] for role, k in at.items()}


def _in_order(columns: dict[str, list[str]], questions: Questions, table: str) -> Answers:
    position = {id_: i for i, id_ in enumerate(columns["id"])}
    missing = next((id_ for id_ in questions.id if id_ not in position), None)
    if missing is not None:
        raise FormatError(f"{table}: the question {missing} has no row")
    order = np.array([position[id_] for id_ in questions.id], np.int64)
    try:
        p_up, p_down = (np.array([float(cell) for cell in columns[role]])[order] for role in ("p_up", "p_down"))
        means = [
            float(np.mean([float(cell) for cell in columns[role]])) if columns.get(role) else None
            for role in ("tokens_used", "tool_calls")
        ]
    except ValueError as error:
        raise FormatError(f"{table}: a number is needed: {error}") from error
    model = columns["model"][0] if columns.get("model") else ""
    return Answers(Predictions(questions.id, p_up, p_down), model, *means)
