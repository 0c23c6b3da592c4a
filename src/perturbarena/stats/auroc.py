"""The area under the ROC curve: with ties, with row weights, within strata, within groups.

All four are one computation: sort the rows once by (group, score), then count, group by group, how often a
positive row outranks a negative one. The sorted form (:class:`Ranking`) is what the resampling reuses, so that
thousands of reweightings cost one sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from perturbarena.errors import InputError

Combine = Literal["pairs", "rows", "groups"]
"""How groups become one number: their pairs pooled, or their AUROCs averaged by rows, or each alike."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows sorted by (group, score); groups without both classes are left out.

    Attributes
    ----------
    rows
        Positions of the m kept rows, sorted, shape (m,), int64.
    positive
        Whether the sorted row is a positive, shape (m,), bool.
    last_of_tie
        True where the next sorted row has another score or another group, shape (m,), bool.
    group_start
        Where each of the g kept groups starts in ``rows``, with m at the end, shape (g + 1,), int64.
    combine
        How groups are combined: ``pairs`` pools their pairs, ``rows`` averages their AUROCs with their rows as
        weights, ``groups`` averages them with equal weights.
    n_groups_left_out, n_rows_left_out
        Groups without both classes, and the rows in them.
    """

    rows: np.ndarray
    positive: np.ndarray
    last_of_tie: np.ndarray
    group_start: np.ndarray
    combine: Combine
    n_groups_left_out: int
    n_rows_left_out: int

    @property
    def n_groups(self) -> int:
        """Groups that have both classes."""
        return len(self.group_start) - 1

    @property
    def n_rows(self) -> int:
        """Rows in the groups that have both classes."""
        return len(self.rows)

    def value(self, weight: np.ndarray | None = None) -> float:
        """The AUROC, each row counted ``weight`` times, shape (n,) over the original rows; NaN if undefined.

        A pair of rows (i, j) counts ``weight[i]·weight[j]`` times.
        """
        wins, pairs, rows = self.counts(weight)
        kept = pairs > 0
        if not kept.any():
            return float("nan")
        of_group = {"pairs": pairs, "rows": rows, "groups": np.ones(len(pairs))}[self.combine][kept]
        value = np.sum(of_group / pairs[kept] * wins[kept]) / np.sum(of_group)
        # Fractional weights round: a perfect ranking may come out as 1 + 2e-16.
        return float(np.clip(value, 0.0, 1.0))

    def counts(self, weight: np.ndarray | None = None) -> GroupCounts:
        """Weighted wins, pairs and rows of each kept group."""
        m = self.n_rows
        if not m:
            return GroupCounts(*(np.zeros(0) for _ in range(3)))
        w = np.ones(m) if weight is None else np.asarray(weight, np.float64)[self.rows]
        tie_start = np.flatnonzero(np.r_[True, self.last_of_tie[:-1]])
        tie_pos = np.add.reduceat(np.where(self.positive, w, 0.0), tie_start)
        tie_neg = np.add.reduceat(np.where(self.positive, 0.0, w), tie_start)
        group = np.searchsorted(tie_start, self.group_start[:-1])
        below = np.cumsum(tie_neg) - tie_neg
        ties_in_group = np.diff(np.r_[group, len(tie_start)])
        below -= np.repeat(below[group], ties_in_group)
        wins = np.add.reduceat(tie_pos * (below + 0.5 * tie_neg), group)
        pos, neg = np.add.reduceat(tie_pos, group), np.add.reduceat(tie_neg, group)
        return GroupCounts(wins, pos * neg, pos + neg)


class GroupCounts(NamedTuple):
    """Of each group, shape (g,): pairs won (a tie is half a win), pairs, rows; all weighted."""

    wins: np.ndarray
    pairs: np.ndarray
    rows: np.ndarray


class StratifiedAuroc(NamedTuple):
    """A row-weighted mean of one AUROC per stratum, and what it rests on."""

    value: float
    n_rows: int
    n_strata: int
    n_rows_left_out: int
    n_strata_left_out: int


class PairedAuroc(NamedTuple):
    """The share of within-group pairs that are ranked right, and how many pairs and groups there are."""

    value: float
    n_pairs: int
    n_groups: int


def rank(
    positive: np.ndarray,
    score: np.ndarray,
    *,
    among: np.ndarray | None = None,
    group: np.ndarray | None = None,
    combine: Combine = "pairs",
) -> Ranking:
    """Sort rows by (group, score).

    Parameters
    ----------
    positive
        Class of each row, shape (n,), bool.
    score
        Higher means more likely positive, shape (n,), float; infinities are allowed, NaN is not.
    among
        Which rows take part, shape (n,), bool; ``None`` is all. The others do not count as left out.
    group
        Pairs are counted within a group only, shape (n,), any sortable dtype; ``None`` is one group.
    combine
        How groups are combined, see :class:`Ranking`.

    Raises
    ------
    InputError
        If lengths differ or a score is NaN.
    """
    positive, score = np.asarray(positive, bool), np.asarray(score, np.float64)
    if positive.shape != score.shape or positive.ndim != 1:
        raise InputError(f"classes and scores must have one shape (n,); got {positive.shape} and {score.shape}")
    if np.isnan(score).any():
        raise InputError(f"a score must be a number; got NaN (row {int(np.flatnonzero(np.isnan(score))[0])})")
    taken = np.arange(len(score)) if among is None else np.flatnonzero(among)
    codes = _codes(group, len(score))[taken]
    n_codes = int(codes.max(initial=-1)) + 1
    size = np.bincount(codes, minlength=n_codes)
    n_pos = np.bincount(codes[positive[taken]], minlength=n_codes)
    keep = (n_pos > 0) & (n_pos < size)

    kept = np.flatnonzero(keep[codes])
    kept = kept[np.lexsort((score[taken[kept]], codes[kept]))]
    rows, codes = taken[kept], codes[kept]
    new_group = np.diff(codes) != 0
    new_tie = (score[rows[1:]] != score[rows[:-1]]) | new_group
    return Ranking(
        rows=rows,
        positive=positive[rows],
        last_of_tie=np.r_[new_tie, True] if len(rows) else np.zeros(0, bool),
        group_start=np.r_[0, np.cumsum(size[keep])].astype(np.int64),
        combine=combine,
        n_groups_left_out=int(np.sum((size > 0) & ~keep)),
        n_rows_left_out=len(taken) - len(rows),
    )


def auroc(positive: np.ndarray, score: np.ndarray) -> float:
    """Probability that a random positive row outranks a random negative one; a tie counts half.

    ``A = Σ_{i∈P} Σ_{j∈N} (1[s_i > s_j] + ½·1[s_i = s_j]) / (|P|·|N|)``, the Mann-Whitney form
    (doi:10.1148/radiology.143.1.7063747). NaN where a class is missing.
    """
    return rank(positive, score).value()


def weighted_auroc(positive: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    """As :func:`auroc`, with row i counted ``weight[i]`` ≥ 0 times: a pair counts ``w_i·w_j`` times.

    Raises
    ------
    InputError
        If a weight is negative or not finite, or lengths differ.
    """
    weight = np.asarray(weight, np.float64)
    if weight.shape != np.shape(score):
        raise InputError(f"weights must have the scores' shape {np.shape(score)}; got {weight.shape}")
    if not np.all(np.isfinite(weight) & (weight >= 0)):
        raise InputError("weights must be finite and at least 0")
    return rank(positive, score).value(weight)


def stratified_auroc(positive: np.ndarray, score: np.ndarray, stratum: np.ndarray) -> StratifiedAuroc:
    """One AUROC per stratum, averaged with rows as weights.

    ``A = Σ_k n_k·A_k / Σ_k n_k`` over the strata k (of n_k rows) that have both classes; the others are left out
    and counted. NaN if none has both.
    """
    ranking = rank(positive, score, group=stratum, combine="rows")
    return StratifiedAuroc(
        ranking.value(), ranking.n_rows, ranking.n_groups, ranking.n_rows_left_out, ranking.n_groups_left_out
    )


def paired_auroc(positive: np.ndarray, score: np.ndarray, group: np.ndarray) -> PairedAuroc:
    """Pairs within a group only, pooled over groups: ``A = Σ_g wins_g / Σ_g pairs_g``. NaN without pairs."""
    ranking = rank(positive, score, group=group)
    return PairedAuroc(ranking.value(), int(ranking.counts().pairs.sum()), ranking.n_groups)


def _codes(group: np.ndarray | None, n: int) -> np.ndarray:
    if group is None:
        return np.zeros(n, np.int64)
    group = np.asarray(group)
    if group.shape != (n,):
        raise InputError(f"groups must have shape ({n},); got {group.shape}")
    return np.unique(group, return_inverse=True)[1]
