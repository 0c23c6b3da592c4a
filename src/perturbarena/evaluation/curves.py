"""ROC curves with pointwise two-way bands, for figures; the score itself never reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.errors import InputError
from perturbarena.stats.resampling import Draws, two_way_variance
from perturbarena.stats.sweeps import GRID, N_GRID, ROC, Sweep

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

    The variance at each false-positive rate is two-way, as for the score. Bands are cut to [0, 1].

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
    sweep = Sweep.of(positive, value)
    tpr = sweep.values()[ROC]
    found = sweep.replicates(Draws.of(pert, gene, n_resamples=n_resamples, rng=rng))
    half = Z_95 * np.sqrt([two_way_variance(found, k).total for k in range(N_GRID)])
    return RocCurve(GRID, tpr, np.clip(tpr - half, 0, 1), np.clip(tpr + half, 0, 1))
