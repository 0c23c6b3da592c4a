"""The exception tree. Every error a caller may want to catch is one of these.

PerturbarenaError
└── InputError                      the input is wrong; on the command line: one line, exit code 2
    ├── FormatError                 a file cannot be read as what it should be
    ├── PredictionError             predictions that the metric refuses
    │   └── ReferenceMetricError    refused in the published metric's own words (reference mode)
    ├── FoldLeakError               a perturbation or a gene stands in two folds
    ├── RulesError                  a challenge's rules file is wrong, or the challenge is unknown
    ├── DataUnavailableError        a data set's file is missing, or is not the file that was declared
    ├── ModelServerError            a model's server cannot be used as it is set up
    ├── BoardError                  the leaderboard refuses what is asked of it; its reason says of which kind
    └── MissingExtraError           an optional part of the installation is needed
"""

from __future__ import annotations

from typing import Literal

Refusal = Literal["forbidden", "missing", "conflict", "limit", "closed", "large", "invalid", "storage"]
"""Why a leaderboard refuses: not allowed; no such thing; already so; too often; not at this time; too large; not
understood; its own storage fails."""


class PerturbarenaError(Exception):
    """Base of every error that perturbarena raises on purpose."""


class InputError(PerturbarenaError):
    """The input is wrong. The message says what, got, needed and where, on one line."""


class FormatError(InputError):
    """A file cannot be read as what it should be."""


class PredictionError(InputError):
    """The metric refuses these predictions."""


class ReferenceMetricError(PredictionError):
    """Refused with the wording of the challenge's published metric script."""


class FoldLeakError(InputError):
    """A perturbation or a gene stands in two folds."""


class RulesError(InputError):
    """A challenge's rules file is wrong, or no challenge has that name."""


class DataUnavailableError(InputError):
    """A data set's file is missing, or its content is not what was declared."""


class ModelServerError(InputError):
    """A model's server refuses every call, or does not send what was asked for."""


class BoardError(InputError):
    """The leaderboard refuses what is asked of it; ``reason`` says of which kind the refusal is."""

    def __init__(self, message: str, *, reason: Refusal = "invalid") -> None:
        super().__init__(message)
        self.reason: Refusal = reason


class MissingExtraError(InputError):
    """An optional part of the installation is needed; the message says which."""
