"""What is read off while walking down the rows from the highest score: ROC and risk–coverage curves, precision.

An AUROC compares pairs; these look at a list cut at every height. Rows of equal score enter together. The sorted
form (:class:`Sweep`) is what resampling reuses, as :class:`~perturbarena.stats.auroc.Ranking` is for AUROCs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numba as nb
import numpy as np

from perturbarena.errors import InputError
from perturbarena.stats.resampling import Draws, Replicates, draw

N_GRID: Final = 101
"""Points at which a curve is read, 0 and 1 among them."""
GRID: Final = np.linspace(0.0, 1.0, N_GRID)


@dataclass(frozen=True, slots=True)
class Sweep:
    """Rows sorted by falling score.

    Attributes
    ----------
    rows
        Positions of the m rows that take part, sorted, shape (m,), int64.
    hit
        Whether the sorted row is what one looks for, shape (m,), bool.
    last_of_tie
        True where the next sorted row has another score, shape (m,), bool.
    """

    rows: np.ndarray
    hit: np.ndarray
    last_of_tie: np.ndarray

    @classmethod
    def of(cls, hit: np.ndarray, score: np.ndarray, *, among: np.ndarray | None = None) -> Sweep:
        """Sort the rows ``among`` which one looks for ``hit``, both shape (n,), bool, by falling ``score``.

        Raises
        ------
        InputError
            If no row takes part, lengths differ, or a score is NaN.
        """
        hit, score = np.asarray(hit, bool), np.asarray(score, np.float64)
        if hit.shape != score.shape or hit.ndim != 1:
            raise InputError(f"hits and scores must have one shape (n,); got {hit.shape} and {score.shape}")
        rows = np.arange(len(score)) if among is None else np.flatnonzero(among)
        if not len(rows) or np.isnan(score[rows]).any():
            raise InputError(f"a sweep needs rows whose scores are numbers; got {len(rows)} rows")
        rows = rows[np.argsort(-score[rows], kind="stable")]
        return cls(rows, hit[rows], np.r_[np.diff(score[rows]) != 0, True])

    def replicates(self, draws: Draws) -> Replicates:
        """The values of :meth:`values` under resampling: three arrays of shape (B, 2·``N_GRID`` + 1)."""
        programs = [(int(way.max()) + 1, way[self.rows], self.hit, self.last_of_tie, GRID) for way in draws.ways]
        return Replicates.of(draws.replicate(_sweep, programs, (2 * N_GRID + 1,)), draws)

    def values(self) -> np.ndarray:
        """ROC curve on ``GRID``, risk–coverage curve on ``GRID``, average precision; shape (2·``N_GRID`` + 1,).

        ROC: share of hits found (true-positive rate) where a share f of the others has been taken. Risk–coverage:
        share of hits among the top share c of all rows, where a hit is an error and the score a confidence; at
        c = 0 it is that of the first rows. Between ties both are linear in counts. Average precision:
        ``Σ_k (R_k − R_{k−1})·P_k`` over the different scores k, R recall and P precision
        (doi:10.1145/1143844.1143874 on why it is not interpolated). NaN where it is undefined.
        """
        out = np.empty(2 * N_GRID + 1)
        _walk(np.ones(len(self.rows), np.int64), np.arange(len(self.rows)), self.hit, self.last_of_tie, GRID, out)
        return out


ROC: Final = slice(0, N_GRID)
RISK: Final = slice(N_GRID, 2 * N_GRID)
PRECISION: Final = 2 * N_GRID
"""Where in :meth:`Sweep.values` each result stands."""


@nb.njit(cache=True, nogil=True)
def _fill(out, at, grid, x0, y0, x1, y1):
    """Write y at every grid point up to x1 on the line from (x0, y0); returns the next point to be written."""
    while at < len(grid) and grid[at] <= x1:
        step = (grid[at] - x0) / (x1 - x0) if x1 > x0 else 1.0
        out[at] = y0 + step * (y1 - y0)
        at += 1
    return at


@nb.njit(cache=True, nogil=True)
def _walk(counts, cluster, hit, last_of_tie, grid, out):
    n_grid = len(grid)
    n_hit, n_other = 0, 0
    for i in range(len(cluster)):
        w = counts[cluster[i]]
        n_hit += w * hit[i]
        n_other += w * (not hit[i])
    total = n_hit + n_other
    out[:] = np.nan
    if total == 0:
        return
    roc, risk = out[:n_grid], out[n_grid : 2 * n_grid]
    at_roc, at_risk = 0, 0
    found, other, found_before, other_before, precision, first = 0, 0, 0, 0, 0.0, 0.0
    for i in range(len(cluster)):
        w = counts[cluster[i]]
        found += w * hit[i]
        other += w * (not hit[i])
        if not last_of_tie[i] or found + other == found_before + other_before:
            continue
        if n_hit and other > other_before:
            at_roc = _fill(
                roc, at_roc, grid, other_before / n_other, found_before / n_hit, other / n_other, found / n_hit
            )
        before, now = (found_before + other_before) / total, (found + other) / total
        at_risk = _fill(risk, at_risk, grid, before, found_before / total, now, found / total)
        if n_hit:
            precision += (found - found_before) / n_hit * found / (found + other)
        if found_before + other_before == 0:
            first = found / (found + other)
        found_before, other_before = found, other
    for k in range(1, n_grid):
        risk[k] /= grid[k]
    risk[0] = first
    if n_hit and n_other:
        roc[n_grid - 1] = 1.0
    if n_hit:
        out[2 * n_grid] = precision


@nb.njit(cache=True, nogil=True)
def _sweep(keys, n_clusters, cluster, hit, last_of_tie, grid, out):
    counts = np.zeros(n_clusters, np.int64)
    for b in range(len(keys)):
        draw(keys[b], counts)
        _walk(counts, cluster, hit, last_of_tie, grid, out[b])
