"""Each row's share of the score, so that a sum over rows is what is optimised.

An AUROC is a mean over pairs of rows. A row's placement is the share of the rows of the other class that it stands
on the right side of; with the classes weighted alike, the mean of the rows' shares is the AUROC itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perturbarena.challenge.records import NONE, UP, LabelledQuestions, Predictions
from perturbarena.evaluation.reference import direction_strict


class Shares(NamedTuple):
    """Each row's share of DE and of DIR, shape (n,); their means are the two AUROCs."""

    de: np.ndarray
    direction: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """Each row's share of the score, shape (n,)."""
        return (self.de + self.direction) / 2


def row_shares(truth: LabelledQuestions, answers: Predictions) -> Shares:
    """Shares of n rows; one half everywhere for an AUROC that the rows leave undefined.

    With classes of n₁ and n₀ rows and placements v, a row of class c has ``v·n/(2·n_c)``; a row that DIR is not
    asked about has 0 of it.
    """
    moved, up = truth.label != NONE, truth.label == UP
    everything = np.ones(len(truth), bool)
    de = _shares(moved, answers.p_up + answers.p_down, everything)
    return Shares(de, _shares(up, direction_strict(answers.p_up, answers.p_down), moved))


def _shares(yes: np.ndarray, value: np.ndarray, among: np.ndarray) -> np.ndarray:
    n = len(yes)
    first, second = np.flatnonzero(yes & among), np.flatnonzero(~yes & among)
    if not len(first) or not len(second):
        return np.full(n, 0.5)
    over = value[first][:, None] - value[second]
    wins = (over > 0) + 0.5 * (over == 0)
    found = np.zeros(n)
    found[first] = wins.mean(axis=1) * n / (2 * len(first))
    found[second] = wins.mean(axis=0) * n / (2 * len(second))
    return found
