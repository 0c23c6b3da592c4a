"""How far an AUROC may be off when rows share perturbations and genes.

Rows that share a knocked-out gene or a target gene are not independent draws, and a bootstrap over rows takes
them for such. Here perturbations, genes and rows are resampled in turn, and the three variances combine to a
two-way one. Every measure is sorted once; a resample is a vector of integer weights, counted in compiled code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numba as nb
import numpy as np
from scipy.special import expit, logit, stdtrit

from perturbarena.errors import InputError
from perturbarena.stats.auroc import Ranking

MIN_DEFINED: Final = 0.95
"""Share of resamples in which a measure must be defined for its variance to be reported."""
LEVEL: Final = 0.95
"""Share of intervals that are to hold the true value."""
COUNT: Final = np.uint8
"""How often a cluster is drawn, in n draws out of n: a byte, so that counts stay in the nearest cache.

With n < 256 it cannot overflow; above, some cluster is drawn 256 times with a probability below n/256!, 1e-500.
"""
CHUNK: Final = 50
"""Resamples per unit of work handed to a thread; the result does not depend on it."""


@dataclass(frozen=True, slots=True)
class Replicates:
    """Resampled values of m measures, each array of shape (B, m), float64; NaN where undefined.

    ``n_pert``, ``n_gene`` and ``n_row`` are the numbers of perturbations, genes and rows that were resampled.
    ``in_pert`` and ``in_gene``, shape (m,), bool, mark measures that compare rows of one perturbation, or of one
    gene, alone; left empty, none does.
    """

    pert: np.ndarray
    gene: np.ndarray
    row: np.ndarray
    n_pert: int
    n_gene: int
    n_row: int
    in_pert: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    in_gene: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    @classmethod
    def of(cls, values: Sequence[np.ndarray], draws: Draws, inside: Sequence[np.ndarray] = ()) -> Replicates:
        """Values resampled by ``draws``, one array of shape (B, m) a way; ``inside`` as the last two fields."""
        pert, gene, row = values
        none = np.zeros(0, bool)
        in_pert, in_gene = inside or (none, none)
        return cls(pert, gene, row, *draws.sizes, in_pert, in_gene)

    def column(self, weights: Sequence[float]) -> Replicates:
        """The linear combination ``Σ_k weights[k]·measure_k`` of the measures, as one measure.

        Because the measures share their resamples, the covariance between them is in it. Measures of weight 0 do
        not enter, not even as NaN.
        """
        used = np.flatnonzero(weights)
        w = np.asarray(weights, np.float64)[used]
        pert, gene, row = (np.asarray(a[:, used] @ w)[:, None] for a in (self.pert, self.gene, self.row))
        inside = (np.array([len(a) > 0 and bool(a[used].all())]) for a in (self.in_pert, self.in_gene))
        return Replicates(pert, gene, row, self.n_pert, self.n_gene, self.n_row, *inside)


class Interval(NamedTuple):
    """Two bounds."""

    low: float
    high: float


class TwoWayVariance(NamedTuple):
    """Variances of one measure, see :func:`two_way_variance`. NaN where undefined."""

    pert: float
    gene: float
    row: float
    total: float


def resample(
    rankings: Sequence[Ranking],
    pert: np.ndarray,
    gene: np.ndarray,
    *,
    n_resamples: int,
    rng: np.random.Generator,
    threads: int | None = None,
) -> Replicates:
    """Resample perturbations, genes and rows, ``n_resamples`` times each, with replacement.

    All rankings are reweighted by the same draws. A drawn cluster's rows get its count as weight, and a pair of
    rows the product of both weights. Where every group of a ranking lies in one cluster (pairs within genes, genes
    resampled), two draws of that cluster are two separate groups, so its pairs get the count, not its square.

    Parameters
    ----------
    rankings
        Sorted measures over the same n rows.
    pert, gene
        The rows' perturbation and target gene, shape (n,).
    n_resamples
        Number of resamples each way.
    rng
        Gives one 64-bit key per resample: the result depends on its state alone, not on ``threads``.

    Raises
    ------
    InputError
        If there are no rows, or fewer than 2 resamples.
    """
    return replicate_rankings(rankings, Draws.of(pert, gene, n_resamples=n_resamples, rng=rng, threads=threads))


def replicate_rankings(rankings: Sequence[Ranking], draws: Draws) -> Replicates:
    """As :func:`resample`, with draws that other measures may share."""
    programs = [_compile(rankings, way) for way in draws.ways]
    values = draws.replicate(_replicates, programs, (len(rankings),))
    inside = [np.array([r.n_groups > 1 for r in rankings]) & program.nested for program in programs[:2]]
    return Replicates.of(values, draws, inside)


@dataclass(frozen=True, slots=True)
class Draws:
    """Which clusters are drawn how often: whatever is computed from the same draws is paired.

    ``ways`` are the codes of the rows' perturbations, genes and own numbers; ``keys``, shape (3, B), uint64, holds
    one random key per resample.
    """

    ways: tuple[np.ndarray, np.ndarray, np.ndarray]
    keys: np.ndarray
    threads: int

    @classmethod
    def of(
        cls,
        pert: np.ndarray,
        gene: np.ndarray,
        *,
        n_resamples: int,
        rng: np.random.Generator,
        threads: int | None = None,
    ) -> Draws:
        """Draws over these rows; arguments and errors as :func:`resample`."""
        if n_resamples < 2:
            raise InputError(f"resamples must be at least 2; got {n_resamples}")
        if not len(pert) or len(pert) != len(gene):
            raise InputError(f"resampling needs rows with both pert and gene; got {len(pert)} and {len(gene)}")
        keys = rng.integers(0, 2**64, size=(3, n_resamples), dtype=np.uint64)
        return cls((_codes(pert), _codes(gene), np.arange(len(pert))), keys, threads or os.cpu_count() or 1)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many perturbations, genes and rows there are to draw."""
        pert, gene, row = (int(way.max()) + 1 for way in self.ways)
        return pert, gene, row

    def replicate(
        self, kernel: Callable[..., None], programs: Sequence[Sequence[Any]], shape: tuple[int, ...]
    ) -> list[np.ndarray]:
        """Resampled values by way, each of shape (B, *shape).

        ``kernel(keys, *program, out)`` is compiled, lets the interpreter go, and fills ``out`` for its keys; there
        is one program a way, or one alone for the first way.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            values, work = [], []
            for program, key in zip(programs, self.keys, strict=False):
                out = np.empty((len(key), *shape))
                chunks = (slice(i, i + CHUNK) for i in range(0, len(key), CHUNK))
                work += [pool.submit(kernel, key[c], *program, out[c]) for c in chunks]
                values.append(out)
            for future in work:
                future.result()
        return values


def two_way_variance(replicates: Replicates, measure: int = 0) -> TwoWayVariance:
    """``V = V_pert + V_gene − V_row``, not below the larger of V_pert and V_gene.

    V_row is taken off because what rows do on their own is in both one-way variances
    (doi:10.1198/jbes.2010.07136). Each is the variance over its resamples times N/(N − 1), N the number of
    clusters drawn: a bootstrap of N clusters sees their empirical variance, which is (N − 1)/N too small.
    NaN if a way has fewer than 2 clusters, or the measure is undefined in too many resamples (``MIN_DEFINED``).

    A measure that compares rows of one gene alone is a sum over genes, and V_gene its variance were genes all that
    rows share: V is then not below V_gene. V_pert is no bound: there, and in V_row, a pair's own noise counts at
    both of its rows, and only V_pert − V_row, where that cancels, says what perturbations add. Likewise with the
    ways exchanged.
    """
    pert, gene, row = (
        _variance(values[:, measure], n)
        for values, n in (
            (replicates.pert, replicates.n_pert),
            (replicates.gene, replicates.n_gene),
            (replicates.row, replicates.n_row),
        )
    )
    inside = [len(a) > 0 and bool(a[measure]) for a in (replicates.in_pert, replicates.in_gene)]
    floors = [v for v, own in zip((pert, gene), inside, strict=True) if own or not any(inside)]
    total = float(np.max([pert + gene - row, *floors]))
    return TwoWayVariance(pert, gene, row, total)


def auroc_interval(estimate: float, variance: float, df: float, *, level: float = LEVEL) -> Interval | None:
    """Interval of an AUROC, 95 % unless told: Student's t on the logit scale, so that it stays within (0, 1).

    ``logit A ± t_{(1 + level)/2, df}·√V / (A·(1 − A))``, mapped back. ``df`` is the smaller number of clusters
    less one, as for cluster-robust errors (doi:10.3368/jhr.50.2.317). None where estimate or variance is
    undefined, and at A = 0 or 1 exactly: resamples of a perfect ranking are all perfect and do not tell how far it
    may be off.
    """
    if not (0 < estimate < 1 and variance >= 0 and df >= 1):
        return None
    half = stdtrit(df, 0.5 + level / 2) * np.sqrt(variance) / (estimate * (1 - estimate))
    return Interval(*(float(x) for x in expit(logit(estimate) + np.array([-half, half]))))


def _variance(values: np.ndarray, n_clusters: int) -> float:
    values = values[~np.isnan(values)] if np.isnan(values).mean() <= 1 - MIN_DEFINED else np.zeros(0)
    if n_clusters < 2 or len(values) < 2:
        return float("nan")
    return float(np.var(values, ddof=1)) * n_clusters / (n_clusters - 1)


def _codes(names: np.ndarray) -> np.ndarray:
    return np.unique(np.asarray(names), return_inverse=True)[1]


class _Program(NamedTuple):
    """All rankings, end to end, seen from one way of resampling."""

    n_clusters: int
    cluster: np.ndarray
    flags: np.ndarray
    group_start: np.ndarray
    measure_start: np.ndarray
    combine: np.ndarray
    nested: np.ndarray


_COMBINE: Final = ("pairs", "rows", "groups")
_POSITIVE: Final = 1
_LAST_OF_TIE: Final = 2


def _compile(rankings: Sequence[Ranking], way: np.ndarray) -> _Program:
    cluster, flags, starts, n_groups, nested = [], [], [np.zeros(1, np.int64)], [0], []
    offset = 0
    for r in rankings:
        of_row = way[r.rows]
        cluster.append(of_row)
        flags.append(r.positive * _POSITIVE + r.last_of_tie * _LAST_OF_TIE)
        starts.append(r.group_start[1:] + offset)
        offset += r.n_rows
        n_groups.append(r.n_groups)
        first = np.repeat(of_row[r.group_start[:-1]], np.diff(r.group_start))
        nested.append(r.n_groups > 1 and bool(np.all(of_row == first)))
    return _Program(
        int(way.max()) + 1,
        np.concatenate(cluster).astype(np.int32),
        np.concatenate(flags).astype(np.uint8),
        np.concatenate(starts),
        np.cumsum(n_groups),
        np.array([_COMBINE.index(r.combine) for r in rankings]),
        np.array(nested),
    )


@nb.njit(cache=True, nogil=True)
def _mix(z):
    """One output of splitmix64 (doi:10.1145/2714064.2660195)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@nb.njit(cache=True, nogil=True)
def draw(key, counts):
    """Multinomial counts of n equal draws out of n, from ``key``; written into ``counts``, shape (n,)."""
    n = np.uint64(len(counts))
    counts[:] = 0
    for _ in range(len(counts)):
        key += np.uint64(0x9E3779B97F4A7C15)
        counts[((_mix(key) >> np.uint64(32)) * n) >> np.uint64(32)] += 1


@nb.njit(cache=True, nogil=True)
def coins(key, sides):
    """A 0 or 1 for each place of ``sides``, shape (n,), from ``key``."""
    for i in range(len(sides)):
        key += np.uint64(0x9E3779B97F4A7C15)
        sides[i] = _mix(key) >> np.uint64(63)


@nb.njit(cache=True, nogil=True)
def _count_group(cluster, flags, counts, start, end):
    """Twice the wins, positives and negatives of one group under integer weights; exact."""
    wins2, pos, neg, tie_pos, tie_neg = 0, 0, 0, 0, 0
    for i in range(start, end):
        w = np.int64(counts[cluster[i]])
        w_pos = w * np.int64(flags[i] & 1)
        tie_pos += w_pos
        tie_neg += w - w_pos
        if flags[i] & 2:
            wins2 += tie_pos * (2 * neg + tie_neg)
            pos += tie_pos
            neg += tie_neg
            tie_pos, tie_neg = 0, 0
    return wins2, pos, neg


@nb.njit(cache=True, nogil=True)
def _replicates(keys, n_clusters, cluster, flags, group_start, measure_start, combine, nested, out):
    counts = np.zeros(n_clusters, COUNT)
    for b in range(len(keys)):
        draw(keys[b], counts)
        for k in range(len(combine)):
            top, bottom = 0.0, 0.0
            for g in range(measure_start[k], measure_start[k + 1]):
                start, end = group_start[g], group_start[g + 1]
                wins2, pos, neg = _count_group(cluster, flags, counts, start, end)
                pairs = pos * neg
                if pairs == 0:
                    continue
                copies = np.int64(counts[cluster[start]]) if nested[k] else 1
                if combine[k] == 0:
                    weight = pairs / copies
                elif combine[k] == 1:
                    weight = float(pos + neg)
                else:
                    weight = float(copies)
                top += weight * (0.5 * wins2 / pairs)
                bottom += weight
            out[b, k] = top / bottom if bottom > 0 else np.nan
