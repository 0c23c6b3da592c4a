"""Why a prediction says what it says, and how it moves without each piece of its evidence."""

from perturbarena.workflows.explain.account import N_TRIED, explain
from perturbarena.workflows.explain.figure import explanation_figure
from perturbarena.workflows.explain.record import Explanation, Leaned, Odds, PathEvidence, Shift

__all__ = [
    "N_TRIED",
    "Explanation",
    "Leaned",
    "Odds",
    "PathEvidence",
    "Shift",
    "explain",
    "explanation_figure",
]
