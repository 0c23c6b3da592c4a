"""Predictions and truth → scores and comparisons with intervals, and the metric file that Kaggle runs."""

from perturbarena.evaluation.comparison import COMPARED, Comparison, Contrast, compare
from perturbarena.evaluation.files import Answered, read_answered, score_files
from perturbarena.evaluation.full import FullAccount, full_account
from perturbarena.evaluation.kaggle import metric_rules, render
from perturbarena.evaluation.ledger import Gated, Look, gate
from perturbarena.evaluation.metric import MEASURES, ScoreResult, measure, score_reference, score_strict
from perturbarena.evaluation.standings import Judge, Scored, tied_groups

__all__ = [
    "COMPARED",
    "MEASURES",
    "Answered",
    "Comparison",
    "Contrast",
    "FullAccount",
    "Gated",
    "Judge",
    "Look",
    "ScoreResult",
    "Scored",
    "compare",
    "full_account",
    "gate",
    "measure",
    "metric_rules",
    "read_answered",
    "render",
    "score_files",
    "score_reference",
    "score_strict",
    "tied_groups",
]
