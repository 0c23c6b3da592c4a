"""Scores of many submissions from one set of resamples, so that any two can be compared from what was kept.

What depends on the truth alone (draws of perturbations, genes and rows) is settled once by a seed. Each
submission's score under every resample is kept; the difference of two submissions' kept values is then a paired
resample of their difference, and no comparison needs the answers again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation.comparison import ALPHA
from perturbarena.evaluation.metric import ScoredRows, ScoreResult, measure_shared
from perturbarena.stats.paired import PairedDifference, holm, paired_difference
from perturbarena.stats.resampling import Draws, Replicates, two_way_variance

SCORE_WEIGHTS: Final = (0.5, 0.5, 0.0, 0.0)
Sizes = tuple[int, int, int]
"""How many perturbations, genes and rows were resampled."""


class Scored(NamedTuple):
    """A result, and the score under each resample: float32, shape (3, B), by perturbations, genes, rows."""

    result: ScoreResult
    replicates: np.ndarray


@dataclass(frozen=True, slots=True)
class Judge:
    """One part of a truth, made ready to score any number of submissions.

    ``truth`` are the rows to score, ``counted_genes`` the gene of each row of the whole question set.
    """

    truth: LabelledQuestions
    counted_genes: np.ndarray
    draws: Draws

    @classmethod
    def of(
        cls, truth: LabelledQuestions, *, counted_genes: np.ndarray, seed: int, n_resamples: int, threads: int = 1
    ) -> Judge:
        """Ready for these rows; the draws follow from ``seed``. InputError without rows or with < 2 resamples."""
        rng = np.random.default_rng(seed)
        draws = Draws.of(truth.pert, truth.gene, n_resamples=n_resamples, rng=rng, threads=threads)
        return cls(truth, counted_genes, draws)

    def score(self, answers: Predictions) -> Scored:
        """Score answers that stand in the truth's order."""
        rows = ScoredRows.of(self.truth, answers, counted_genes=self.counted_genes)
        result, replicates = measure_shared(rows, draws=self.draws)
        kept = np.full((3, len(self.draws.keys[0])), np.nan, np.float32)
        if replicates is not None:
            column = replicates.column(SCORE_WEIGHTS)
            for way, values in enumerate((column.pert, column.gene, column.row)):
                kept[way] = values[:, 0]
        return Scored(result, kept)


def difference(
    first: float, second: float, kept: tuple[np.ndarray, np.ndarray], *, sizes: Sizes
) -> PairedDifference:
    """``second − first`` of two scores under shared resamples, each kept array of shape (3, B)."""
    d = kept[1].astype(np.float64) - kept[0].astype(np.float64)
    replicates = Replicates(d[0][:, None], d[1][:, None], d[2][:, None], *sizes)
    return paired_difference(second - first, two_way_variance(replicates).total, min(sizes[:2]) - 1)


def tied_groups(
    scores: Sequence[float], kept: Sequence[np.ndarray | None], sizes: Sequence[Sizes], *, alpha: float = ALPHA
) -> list[int]:
    """The tied group of each score, given best first: 1, 1, 2, ….

    A group begins with the best score that no group holds. It takes in all that follow, up to the first that a
    paired comparison with the beginner tells apart, p-values Holm-corrected over all that are compared with it. A
    score without kept resamples, or with an undefined one, is never told apart.
    """
    groups, start, number = [0] * len(scores), 0, 0
    while start < len(scores):
        number += 1
        p = _against(scores, kept, sizes, start)
        apart = np.flatnonzero(holm(p) < alpha) if len(p) else p
        end = start + 1 + int(apart[0]) if len(apart) else len(scores)
        groups[start:end] = [number] * (end - start)
        start = end
    return groups


def _against(
    scores: Sequence[float], kept: Sequence[np.ndarray | None], sizes: Sequence[Sizes], start: int
) -> np.ndarray:
    """p of every score after ``start`` against it; NaN where there is nothing to compare by."""
    later = range(start + 1, len(scores))
    p, first = np.full(len(later), np.nan), kept[start]
    if first is None:
        return p
    same, others = [], []
    for i in later:
        other = kept[i]
        if other is not None and other.shape == first.shape and sizes[i] == sizes[start]:
            same.append(i)
            others.append(other)
    if not same:
        return p
    d = np.stack(others).astype(np.float64) - first
    variance = _variances(d, sizes[start])
    df = min(sizes[start][:2]) - 1
    for k, i in enumerate(same):
        p[i - start - 1] = paired_difference(scores[i] - scores[start], variance[k], df).p
    return p


def _variances(d: np.ndarray, sizes: Sizes) -> np.ndarray:
    """Two-way variances of m measures, shape (m, 3, B) → (m,): as ``two_way_variance``, all at once."""
    if np.isnan(d).any() or min(sizes) < 2:
        replicates = Replicates(d[:, 0].T, d[:, 1].T, d[:, 2].T, *sizes)
        return np.array([two_way_variance(replicates, k).total for k in range(len(d))])
    n = np.array(sizes)
    pert, gene, row = (np.var(d, axis=2, ddof=1) * n / (n - 1)).T
    return np.max([pert + gene - row, pert, gene], axis=0)
