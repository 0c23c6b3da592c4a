"""Who answers the questions, and how an answer is read out of a text."""

from perturbarena.tracks.fusion import (
    Fusion,
    FusionSettings,
    Part,
    cross_fit_fusion,
    head_scores,
    learn_fusion,
)
from perturbarena.tracks.parsing import (
    DEFAULT_LETTERS,
    ParsedAnswer,
    ParseReport,
    parse_answer,
    parse_answers,
    parse_report,
)
from perturbarena.tracks.transfer import BASES, TransferAnswers, TransferModel, count_basis, fit_transfer
from perturbarena.tracks.transfer_evidence import Evidence, Near, Ranges, evidence, refit_ranges
from perturbarena.tracks.transfer_models import TransferSettings
from perturbarena.tracks.transfer_refit import Pulls, Relearner, pulls_of

__all__ = [
    "BASES",
    "DEFAULT_LETTERS",
    "Evidence",
    "Fusion",
    "FusionSettings",
    "Near",
    "ParseReport",
    "ParsedAnswer",
    "Part",
    "Pulls",
    "Ranges",
    "Relearner",
    "TransferAnswers",
    "TransferModel",
    "TransferSettings",
    "count_basis",
    "cross_fit_fusion",
    "evidence",
    "fit_transfer",
    "head_scores",
    "learn_fusion",
    "parse_answer",
    "parse_answers",
    "parse_report",
    "pulls_of",
    "refit_ranges",
]
