"""Who answers the questions, and how an answer is read out of a text."""

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

__all__ = [
    "BASES",
    "DEFAULT_LETTERS",
    "Evidence",
    "Near",
    "ParseReport",
    "ParsedAnswer",
    "Ranges",
    "TransferAnswers",
    "TransferModel",
    "TransferSettings",
    "count_basis",
    "evidence",
    "fit_transfer",
    "parse_answer",
    "parse_answers",
    "parse_report",
    "refit_ranges",
]
