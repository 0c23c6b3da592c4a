"""Is one set of answers better than another to the same questions? Differences, tests, and what they could see.

Two predictors that answer the same rows share their luck with the rows, so it is the difference whose variance
counts. It is two-way, as that of a score (:mod:`perturbarena.stats.resampling`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numba as nb
import numpy as np
from scipy.special import stdtr, stdtrit
from scipy.stats import rankdata

from perturbarena.errors import InputError
from perturbarena.stats.resampling import LEVEL, Draws, Interval, coins

POWER: Final = 0.8
"""Chance to find the minimum detectable difference."""


class PairedDifference(NamedTuple):
    """A difference with its interval, two-sided p, and the smallest true difference that would mostly be found."""

    difference: float
    interval: Interval | None
    p: float
    minimum_detectable: float


def paired_difference(
    difference: float, variance: float, df: float, *, level: float = LEVEL, power: float = POWER
) -> PairedDifference:
    """Student's t with ``df`` degrees of freedom, one less than the smaller number of clusters.

    ``d ± t_{(1 + level)/2}·√V``; ``p = 2·P(T > |d|/√V)``; the minimum detectable difference
    ``(t_{(1 + level)/2} + t_power)·√V`` is the true difference at which the interval excludes 0 with the given
    probability (doi:10.1177/0193841X9501900504). Without any variance (the same answers twice) p is 1 and the
    interval the point; where variance or difference is undefined all are NaN and the interval None.
    """
    if not (np.isfinite(difference) and variance >= 0 and df >= 1):
        return PairedDifference(difference, None, float("nan"), float("nan"))
    se, critical = np.sqrt(variance), stdtrit(df, 0.5 + level / 2)
    z = abs(difference) / se if se else np.where(difference == 0, 0.0, np.inf)
    p = float(2 * stdtr(df, -z))
    bounds = Interval(float(difference - critical * se), float(difference + critical * se))
    return PairedDifference(float(difference), bounds, p, float((critical + stdtrit(df, power)) * se))


def holm(pvalue: np.ndarray) -> np.ndarray:
    """Holm-adjusted p-values, shape (n,); NaN stays NaN and does not count as a test.

    ``p_(i) = max_{j≤i} min(1, (m − j + 1)·p_(j))`` in ascending order (jstor:4615733).
    """
    adjusted = np.full(len(pvalue), np.nan)
    tested = np.flatnonzero(~np.isnan(pvalue))
    order = tested[np.argsort(pvalue[tested], kind="stable")]
    scaled = np.minimum(pvalue[order] * np.arange(len(order), 0, -1), 1.0)
    adjusted[order] = np.maximum.accumulate(scaled)
    return adjusted


@dataclass(frozen=True, slots=True)
class Duel:
    """One ranking of the same rows by two predictors: rows that take part, their class, two mid-ranks.

    ``level``, shape (2, m), int64, holds twice the mid-rank of each row, first predictor first.
    """

    rows: np.ndarray
    positive: np.ndarray
    level: np.ndarray

    @classmethod
    def of(
        cls, positive: np.ndarray, first: np.ndarray, second: np.ndarray, *, among: np.ndarray | None = None
    ) -> Duel:
        """Rank the rows ``among`` which ``positive`` are to come first; all of shape (n,).

        Raises
        ------
        InputError
            If a class is missing.
        """
        rows = np.arange(len(positive)) if among is None else np.flatnonzero(among)
        own = np.asarray(positive, bool)[rows]
        if not own.any() or own.all():
            raise InputError("a comparison needs rows of both classes; got one class")
        ranks = np.stack([rankdata(np.asarray(values, np.float64)[rows]) for values in (first, second)])
        return cls(rows, own, np.rint(2 * ranks).astype(np.int64))


def swap_test(duels: list[Duel], weights: np.ndarray, *, draws: Draws) -> np.ndarray:
    """p-values of combinations of AUROC differences when the two predictors' answers trade places by cluster.

    In each of B exchanges every cluster's answers (as ranks, so that scales do not matter) change hands with
    probability ½: whole perturbations or whole genes, whichever are fewer. What is compared is not the difference
    but ``t = D / √V``, D divided by its own two-way standard error, worked out anew after each exchange from each
    row's first-order share in D. Exchanging one kind of cluster does not keep what rows share through the
    other, so the spread of D itself would be wrong; that of t is right all the same as clusters become many
    (doi:10.1002/bimj.201500105 for studentised permutation of AUROCs, doi:10.1080/07350015.2019.1677473 for
    two-way clusters of which one kind is re-signed).
    ``p = (1 + #{|t*| ≥ |t|}) / (1 + B)``.

    Parameters
    ----------
    duels
        The k rankings.
    weights
        Combinations to be tested, shape (c, k).
    draws
        Over the same rows; its keys decide the exchanges.

    Returns
    -------
    Shape (c,), float64; NaN where t is undefined because the predictors do not differ.
    """
    ways = draws.ways[:2]
    sizes = np.array(draws.sizes)
    side = int(np.argmin(sizes[:2]))
    arrays = (
        np.concatenate([d.rows for d in duels]),
        np.concatenate([d.positive for d in duels]),
        np.concatenate([d.level for d in duels], axis=1),
        np.cumsum([0, *(len(d.rows) for d in duels)]),
    )
    program = (ways[0], ways[1], side, sizes, *arrays, np.ascontiguousarray(weights, np.float64))
    observed = np.empty((1, len(weights)))
    _exchange(np.zeros(1, np.uint64), *(*program, False), observed)
    found = draws.replicate(_exchange, [(*program, True)], (len(weights),))[0]
    # Exchanging everything turns the sign round and no more; rounding must not decide such ties.
    as_large = np.abs(found) >= np.abs(observed[0]) * (1 - 1e-9)
    p = (1 + as_large.sum(axis=0)) / (1 + len(found))
    return np.where(np.isfinite(observed[0]), p, np.nan)


@nb.njit(cache=True, nogil=True)
def _shares(level, positive, share, below_pos, below_neg):
    """AUROC; each row's first-order share in it goes into ``share`` (they sum to 0)."""
    m = len(level)
    below_pos[:] = 0
    below_neg[:] = 0
    n_pos = 0
    for i in range(m):
        if positive[i]:
            below_pos[level[i]] += 1
            n_pos += 1
        else:
            below_neg[level[i]] += 1
    n_neg = m - n_pos
    pos, neg = 0, 0
    # Twice the number below plus the number equal: a tie is half a win.
    for k in range(len(below_pos)):
        own_pos, own_neg = below_pos[k], below_neg[k]
        below_pos[k], below_neg[k] = 2 * pos + own_pos, 2 * neg + own_neg
        pos += own_pos
        neg += own_neg
    auroc = 0.0
    for i in range(m):
        if positive[i]:
            share[i] = below_neg[level[i]] / (2.0 * n_neg)
            auroc += share[i] / n_pos
        else:
            share[i] = 1.0 - below_pos[level[i]] / (2.0 * n_pos)
    for i in range(m):
        share[i] = (share[i] - auroc) / (n_pos if positive[i] else n_neg)
    return auroc


@nb.njit(cache=True, nogil=True)
def _square_sum(share, cluster, n):
    sums = np.zeros(n)
    for i in range(len(share)):
        sums[cluster[i]] += share[i]
    return np.sum(sums**2) * (n / (n - 1.0) if n > 1 else np.nan)


@nb.njit(cache=True, nogil=True)
def _exchange(keys, pert, gene, side, sizes, rows, positive, level, start, weights, exchange, out):
    n, n_duels = len(pert), len(start) - 1
    cluster = pert if side == 0 else gene
    swapped = np.zeros(sizes[side], np.uint8)
    mine, theirs = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    share_a, share_b = np.empty(len(rows)), np.empty(len(rows))
    n_levels = 2 * len(rows) + 1
    scratch_pos, scratch_neg = np.zeros(n_levels, np.int64), np.zeros(n_levels, np.int64)
    difference, of_row = np.empty(n_duels), np.empty(n)
    for b in range(len(keys)):
        if exchange:
            coins(keys[b], swapped)
        for d in range(n_duels):
            lo, hi = start[d], start[d + 1]
            for i in range(lo, hi):
                s = swapped[cluster[rows[i]]]
                mine[i], theirs[i] = level[s, i], level[1 - s, i]
            top = 2 * (hi - lo) + 1
            args = (positive[lo:hi], scratch_pos[:top], scratch_neg[:top])
            first = _shares(mine[lo:hi], args[0], share_a[lo:hi], args[1], args[2])
            difference[d] = _shares(theirs[lo:hi], args[0], share_b[lo:hi], args[1], args[2]) - first
        for c in range(len(weights)):
            of_row[:] = 0.0
            total = 0.0
            for d in range(n_duels):
                total += weights[c, d] * difference[d]
                if weights[c, d] != 0.0:
                    for i in range(start[d], start[d + 1]):
                        of_row[rows[i]] += weights[c, d] * (share_b[i] - share_a[i])
            v_pert, v_gene = _square_sum(of_row, pert, sizes[0]), _square_sum(of_row, gene, sizes[1])
            v_row = np.sum(of_row**2) * n / (n - 1.0)
            variance = max(v_pert + v_gene - v_row, v_pert, v_gene)
            out[b, c] = total / np.sqrt(variance) if variance > 0 else np.nan
