"""ROC curves with pointwise two-way bands, for figures; the score itself never reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.errors import InputError

GRID: Final = np.linspace(0.0, 1.0, 101)
"""False-positive rates at which a curve and its band are given."""
Z_95: Final = 1.959963984540054
"""97.5 % point of the standard normal."""


@dataclass(frozen=True, slots=True)
class RocCurve:
    """True-positive rate ``tpr`` over false-positive rate ``fpr`` with a pointwise 95 % band, shape (101,)."""

    fpr: np.ndarray
    tpr: np.ndarray
    low: np.ndarray
    high: np.ndarray


def roc_curve(
    positive: np.ndarray,
    value: np.ndarray,
    *,
    pert: np.ndarray,
    gene: np.ndarray,
    rng: np.random.Generator,
    n_resamples: int = 400,
) -> RocCurve:
    """The ROC curve of ``value`` for ``positive`` and its band.

    The variance at each false-positive rate is two-way, ``V_pert + V_gene − V_row`` and not below the larger
    one-way variance, as for the score. Bands are cut to [0, 1].

    Parameters
    ----------
    positive
        Class of each row, shape (n,), bool.
    value
        What rows are ranked by, shape (n,).
    pert, gene
        What the rows share, shape (n,).

    Raises
    ------
    InputError
        If one of the classes is empty.
    """
    if not positive.any() or positive.all():
        raise InputError("a ROC curve needs rows of both classes; got one class")
    order = np.argsort(-value, kind="stable")
    sorted_positive = positive[order]
    last_of_tie = np.r_[np.diff(value[order]) != 0, True]
    tpr = _rate(sorted_positive, last_of_tie, np.ones(len(value)))
    variances = []
    for unit in (pert, gene, np.arange(len(value))):
        code = np.unique(unit, return_inverse=True)[1][order]
        n = int(code.max()) + 1
        draws = rng.multinomial(n, np.full(n, 1 / n), size=n_resamples)
        variances.append(np.nanvar([_rate(sorted_positive, last_of_tie, draw[code]) for draw in draws], axis=0))
    v_pert, v_gene, v_row = variances
    half = Z_95 * np.sqrt(np.maximum(v_pert + v_gene - v_row, np.maximum(v_pert, v_gene)))
    return RocCurve(GRID, tpr, np.clip(tpr - half, 0, 1), np.clip(tpr + half, 0, 1))


def _rate(positive: np.ndarray, last_of_tie: np.ndarray, weight: np.ndarray) -> np.ndarray:
    true = np.cumsum(weight * positive)[last_of_tie]
    false = np.cumsum(weight * ~positive)[last_of_tie]
    if true[-1] == 0 or false[-1] == 0:
        return np.full(len(GRID), np.nan)
    return np.interp(GRID, np.r_[0.0, false / false[-1]], np.r_[0.0, true / true[-1]])
