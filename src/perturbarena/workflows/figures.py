"""Predictions and truth → the score figure: ROC curves with bands, and every measure with its interval."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation import MEASURES, ScoreResult
from perturbarena.evaluation.curves import roc_curve
from perturbarena.report import Measure, RocPanel, draw_scores

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
