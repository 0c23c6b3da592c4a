"""Scoring from files: a predictions table, a solution, and what is known of its questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from perturbarena.challenge.formats import (
    labelled_from_table,
    read_inferred,
    read_questions,
    read_table,
    with_pairs,
)
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError, PredictionError
from perturbarena.evaluation.kaggle import metric_rules
from perturbarena.evaluation.metric import (
    N_RESAMPLES,
    ScoredRows,
    ScoreResult,
    measure,
    score_reference,
    strict_answers,
)

ScoringMode = Literal["strict", "reference"]


def score_files(
    predictions: Path,
    truth: Path,
    *,
    challenge: Challenge,
    track: str | None = None,
    mode: ScoringMode = "strict",
    usage: str | None = None,
    questions: Path | None = None,
    n_resamples: int = N_RESAMPLES,
    rng: np.random.Generator,
) -> ScoreResult:
    """Score a predictions file against a solution file (``id,label``; ``pert,gene`` and ``Usage`` optional).

    Parameters
    ----------
    challenge, track
        Whose columns and limits the predictions are held to; without a track, to the two predictions alone.
    mode
        ``strict`` refuses what cannot be meant; ``reference`` does what the published scripts do.
    usage
        Score only the solution's rows with this ``Usage``, as a leaderboard does.
    questions
        The whole question set: gives each id's perturbation and gene, and how many rows a gene has.

    Raises
    ------
    PredictionError
        If the metric refuses the predictions; in reference mode with the published script's message.
    FormatError
        If a file cannot be read, or the solution's ids cannot be taken apart and ``questions`` is not given.
    """
    if mode == "reference":
        return _score_reference(
            predictions,
            truth,
            rules=metric_rules(challenge, track, mode="published"),
            usage=usage,
            questions=questions,
            n_resamples=n_resamples,
            rng=rng,
        )
    read = read_answered([predictions], truth, challenge=challenge, track=track, usage=usage, questions=questions)
    return measure(read.rows(), rng=rng, n_resamples=n_resamples)


def _score_reference(
    predictions: Path,
    truth: Path,
    *,
    rules: dict[str, Any],
    usage: str | None,
    questions: Path | None,
    n_resamples: int,
    rng: np.random.Generator,
) -> ScoreResult:
    table = read_table(truth, required=("id", "label"))
    asked = None if questions is None else read_questions(questions)
    among = rows_of_usage(table, usage, truth)
    solution = read_inferred(truth)
    solution = solution[[name for name in ("id", "label", "Usage") if name in solution.columns]]
    return score_reference(
        solution[among],
        read_inferred(predictions),
        rules=rules,
        rng=rng,
        n_resamples=n_resamples,
        pairs=_pairs(table, solution["id"], asked, truth),
        counted_genes=None if asked is None else asked.gene,
    )


@dataclass(frozen=True, slots=True)
class Answered:
    """Labelled questions and the answers of one or several files to them, all in one order.

    ``counted_genes`` is the gene of each row of the whole question set, from which strata are made; ``tables``
    are the files as they were read.
    """

    truth: LabelledQuestions
    counted_genes: np.ndarray
    answers: tuple[Predictions, ...]
    tables: tuple[pd.DataFrame, ...]

    def rows(self, i: int = 0) -> ScoredRows:
        """What the measures of file ``i`` are computed from."""
        return ScoredRows.of(self.truth, self.answers[i], counted_genes=self.counted_genes)


def read_answered(
    predictions: Sequence[Path],
    truth: Path,
    *,
    challenge: Challenge,
    track: str | None = None,
    usage: str | None = None,
    questions: Path | None = None,
) -> Answered:
    """Prediction files and the truth they answer, strictly read; arguments and errors as :func:`score_files`."""
    table = read_table(truth, required=("id", "label"))
    asked = None if questions is None else read_questions(questions)
    among = rows_of_usage(table, usage, truth)
    labelled = labelled_from_table(table, questions=asked, source=truth)
    rules = metric_rules(challenge, track, mode="strict")
    tables, answers = [], []
    for path in predictions:
        tables.append(read_table(path))
        try:
            answers.append(strict_answers(labelled, tables[-1], among=among, rules=rules))
        except PredictionError as refused:
            raise PredictionError(f"{path}: {refused}") from refused
    counted = labelled.gene if asked is None else asked.gene
    return Answered(labelled.take(among), counted, tuple(answers), tuple(tables))


def rows_of_usage(table: pd.DataFrame, usage: str | None, truth: Path) -> np.ndarray:
    """Rows of a solution with this ``Usage``, shape (n,), bool; all where ``usage`` is None.

    Raises
    ------
    FormatError
        If there is no such column, or no such row.
    """
    if usage is None:
        return np.ones(len(table), bool)
    if "Usage" not in table.columns:
        raise FormatError(f"{truth} has no column Usage, which --usage {usage} needs")
    rows = table["Usage"].to_numpy() == usage
    if not rows.any():
        got = ", ".join(sorted(set(table["Usage"])))
        raise FormatError(f"{truth} has no rows with the Usage {usage}; it has {got}")
    return rows


def _pairs(
    table: pd.DataFrame, inferred_id: pd.Series, asked: Questions | None, truth: Path
) -> dict[str, tuple[str, str]] | None:
    """Perturbation and gene by id, or None: the published scripts score ids that name no pair, too."""
    try:
        known = with_pairs(table, questions=asked, source=truth)
    except FormatError:
        return None
    return dict(zip(inferred_id.astype(str), zip(known["pert"], known["gene"], strict=True), strict=True))
