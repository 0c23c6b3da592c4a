"""Predictions and truth → scores with intervals, and the metric file that Kaggle runs."""

from perturbarena.evaluation.files import score_files
from perturbarena.evaluation.kaggle import metric_rules, render
from perturbarena.evaluation.metric import MEASURES, ScoreResult, score_reference, score_strict
from perturbarena.evaluation.strata import StratumScore, row_count_bands, score_strata

__all__ = [
    "MEASURES",
    "ScoreResult",
    "StratumScore",
    "metric_rules",
    "render",
    "row_count_bands",
    "score_files",
    "score_reference",
    "score_strata",
    "score_strict",
]
