"""Scores and comparisons → figures: ROC curves with bands, measures and differences with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation import COMPARED, MEASURES, Comparison, ScoreResult
from perturbarena.evaluation.curves import roc_curve
from perturbarena.report import DifferencePanel, Measure, RocPanel, draw_differences, draw_scores

NAMES: Final = {
    "score": "Score",
    "de_auroc": "DE, as published",
    "dir_auroc": "DIR",
    "de_within_strata": "DE, within strata",
    "de_within_gene": "DE, within genes",
}


def score_figure(
    path: Path | str,
    *,
    truth: LabelledQuestions,
    predictions: Predictions,
    result: ScoreResult,
    rng: np.random.Generator,
    title: str,
) -> None:
    """Draw the figure of one scored run; ``predictions`` stand in the order of ``truth``.

    Raises
    ------
    InputError
        If a class is missing, so that there is no curve, or the file's suffix is unknown.
    """
    p_de = predictions.p_up + predictions.p_down
    p_direction = np.divide(predictions.p_up, p_de, out=np.full(len(p_de), 0.5), where=p_de > 0)
    panels = []
    for name, rows, positive, value in (
        ("de_auroc", np.ones(len(truth), bool), truth.is_de, p_de),
        ("dir_auroc", truth.is_de, truth.is_up, p_direction),
    ):
        curve = roc_curve(positive[rows], value[rows], pert=truth.pert[rows], gene=truth.gene[rows], rng=rng)
        interval = result.intervals[name]
        caption = f"AUROC {getattr(result, name):.3f}"
        if interval is not None:
            caption += f"\n95 %: {interval.low:.3f}–{interval.high:.3f}"
        panels.append(RocPanel(NAMES[name], curve.fpr, curve.tpr, curve.low, curve.high, caption))
    measures = []
    for name in MEASURES:
        low, high = result.intervals[name] or (np.nan, np.nan)
        measures.append(Measure(NAMES[name], getattr(result, name), low, high))
    draw_scores(path, curves=panels, measures=measures, title=title)


COMPARED_NAMES: Final = dict(zip(COMPARED, ("Score", "DE, as published", "DIR", "DE, within genes"), strict=True))


def comparison_figure(path: Path | str, comparisons: Sequence[Comparison], *, files: Sequence[str]) -> None:
    """Draw the differences from the first set of answers; ``files`` names all sets, the first one first.

    Raises
    ------
    InputError
        If the file's suffix is unknown.
    """
    panels = []
    for measure, title in COMPARED_NAMES.items():
        lines = []
        for comparison, name in zip(comparisons, files[1:], strict=True):
            d = comparison.contrasts[measure].difference
            low, high = d.interval or (np.nan, np.nan)
            lines.append(Measure(name, d.difference, low, high))
        panels.append(DifferencePanel(title, lines))
    draw_differences(path, panels=panels, title=f"Against {files[0]}, paired (right is better)")
