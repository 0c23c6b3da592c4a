"""Scoring from files: a predictions table, a solution, and what is known of its questions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from perturbarena.challenge.formats import (
    labelled_from_table,
    read_inferred,
    read_questions,
    read_table,
    with_pairs,
)
from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError, PredictionError
from perturbarena.evaluation.kaggle import metric_rules
from perturbarena.evaluation.metric import N_RESAMPLES, ScoreResult, score_reference, score_strict

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
    table = read_table(truth, required=("id", "label"))
    asked = None if questions is None else read_questions(questions)
    among = rows_of_usage(table, usage, truth)
    counted = None if asked is None else asked.gene
    if mode == "reference":
        solution = read_inferred(truth)
        solution = solution[[name for name in ("id", "label", "Usage") if name in solution.columns]]
        return score_reference(
            solution[among],
            read_inferred(predictions),
            rules=metric_rules(challenge, track, mode="published"),
            rng=rng,
            n_resamples=n_resamples,
            pairs=_pairs(table, solution["id"], asked, truth),
            counted_genes=counted,
        )
    labelled = labelled_from_table(table, questions=asked, source=truth)
    try:
        return score_strict(
            labelled,
            read_table(predictions),
            rng=rng,
            n_resamples=n_resamples,
            counted_genes=counted,
            among=among,
            rules=metric_rules(challenge, track, mode="strict"),
        )
    except PredictionError as refused:
        raise PredictionError(f"{predictions}: {refused}") from refused


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
