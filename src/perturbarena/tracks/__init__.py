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
from perturbarena.tracks.transfer_models import TransferSettings

__all__ = [
    "BASES",
    "DEFAULT_LETTERS",
    "ParseReport",
    "ParsedAnswer",
    "TransferAnswers",
    "TransferModel",
    "TransferSettings",
    "count_basis",
    "fit_transfer",
    "parse_answer",
    "parse_answers",
    "parse_report",
]
