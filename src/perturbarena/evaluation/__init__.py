"""Predictions and truth → scores with intervals, and the metric file that Kaggle runs."""

from perturbarena.evaluation.files import score_files
from perturbarena.evaluation.kaggle import metric_rules, render
from perturbarena.evaluation.metric import MEASURES, ScoreResult, score_reference, score_strict

__all__ = ["MEASURES", "ScoreResult", "metric_rules", "render", "score_files", "score_reference", "score_strict"]
