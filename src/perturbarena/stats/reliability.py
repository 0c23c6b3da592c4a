"""Do stated probabilities come true? Observed frequencies in bins of the stated probability.

Rows share perturbations and genes, so a binomial interval of a bin would be too narrow; the variance here is
two-way, in closed form, as a bin's frequency is a mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perturbarena.errors import InputError
from perturbarena.stats.resampling import auroc_interval


@dataclass(frozen=True, slots=True)
class Reliability:
    """Bins that hold rows, from low to high.

    Attributes
    ----------
    stated, happened
        Mean stated probability and observed frequency, shape (b,).
    low, high
        95 % two-way interval of ``happened``, shape (b,); NaN where it cannot be told.
    n
        Rows in the bin, shape (b,).
    """

    stated: np.ndarray
    happened: np.ndarray
    low: np.ndarray
    high: np.ndarray
    n: np.ndarray

    @property
    def error(self) -> float:
        """Mean of |stated − happened| over bins, with rows as weights."""
        return float(np.average(np.abs(self.stated - self.happened), weights=self.n))


def reliability(
    probability: np.ndarray, happened: np.ndarray, *, pert: np.ndarray, gene: np.ndarray, n_bins: int = 10
) -> Reliability:
    """Observed frequency of ``happened`` by stated probability, in ``n_bins`` bins of equal width on [0, 1].

    With e_i = (y_i − ȳ)/n over the n rows of a bin, a way of clustering with G clusters has the variance
    ``V = G/(G − 1)·Σ_g (Σ_{i∈g} e_i)²``; two-way it is ``max(V_pert + V_gene − V_row, V_pert, V_gene)``
    (doi:10.1198/jbes.2010.07136). The interval is Student's t on the logit scale, with min(G_pert, G_gene) − 1
    degrees of freedom; there is none where all rows of a bin agree or a way has one cluster.

    Parameters
    ----------
    probability
        Stated, in [0, 1], shape (n,).
    happened
        Shape (n,), bool.
    pert, gene
        What the rows share, shape (n,).

    Raises
    ------
    InputError
        If there are no rows.
    """
    if not len(probability):
        raise InputError("a reliability curve needs rows; got none")
    edges = np.linspace(0, 1, n_bins + 1)
    bin_of = np.clip(np.searchsorted(edges, probability, side="right") - 1, 0, n_bins - 1)
    rows = []
    for b in np.unique(bin_of):
        of = bin_of == b
        rate = float(np.mean(happened[of]))
        low, high = _interval(happened[of], rate, pert[of], gene[of])
        rows.append((float(np.mean(probability[of])), rate, low, high, int(of.sum())))
    stated, rates, lows, highs, n = (np.array(column) for column in zip(*rows, strict=True))
    return Reliability(stated, rates, lows, highs, n)


def _interval(happened: np.ndarray, rate: float, pert: np.ndarray, gene: np.ndarray) -> tuple[float, float]:
    error = (happened - rate) / len(happened)
    variances, clusters = [], []
    for unit in (pert, gene, np.arange(len(error))):
        code = np.unique(unit, return_inverse=True)[1]
        g = int(code.max()) + 1
        if g < 2:
            return (np.nan, np.nan)
        variances.append(g / (g - 1) * float(np.sum(np.bincount(code, error) ** 2)))
        clusters.append(g)
    v_pert, v_gene, v_row = variances
    interval = auroc_interval(rate, max(v_pert + v_gene - v_row, v_pert, v_gene), min(clusters[:2]) - 1)
    return (np.nan, np.nan) if interval is None else interval
