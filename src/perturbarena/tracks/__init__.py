"""Who answers the questions, and how an answer is read out of a text.

The names below are fetched when first used: a fake model's server or a tool's worker, a process of its own that
is started often, needs none of the statistics behind them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOME = {
    "fusion": ("Fusion", "FusionSettings", "Part", "cross_fit_fusion", "head_scores", "learn_fusion"),
    "parsing": (
        "DEFAULT_LETTERS",
        "ParsedAnswer",
        "ParseReport",
        "parse_answer",
        "parse_answers",
        "parse_report",
    ),
    "transfer": ("BASES", "TransferAnswers", "TransferModel", "count_basis", "fit_transfer"),
    "transfer_evidence": ("Evidence", "Near", "Ranges", "evidence", "refit_ranges"),
    "transfer_models": ("TransferSettings",),
    "transfer_refit": ("Pulls", "Relearner", "pulls_of"),
}
"""Module → the public names that it defines."""


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"perturbarena.tracks.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
