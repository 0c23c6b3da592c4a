"""The same answers, stratum by stratum: where is a score made?

Strata may be how often a gene is asked, or anything that a table says of the questions. Each stratum has its own
AUROCs, on the same resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation.reference import direction_strict
from perturbarena.stats.auroc import Ranking, rank
from perturbarena.stats.resampling import Interval, auroc_interval, resample, two_way_variance


@dataclass(frozen=True, slots=True)
class StratumScore:
    """DE and DIR within one stratum; NaN and None where a class is missing."""

    name: str
    n: int
    n_de: int
    n_up: int
    de_auroc: float
    de_interval: Interval | None
    dir_auroc: float
    dir_interval: Interval | None


def score_strata(
    truth: LabelledQuestions,
    predictions: Predictions,
    stratum: np.ndarray,
    *,
    rng: np.random.Generator,
    n_resamples: int = 1000,
) -> list[StratumScore]:
    """Score each stratum by itself, in the order in which names appear.

    Parameters
    ----------
    truth, predictions
        In one order, shape (n,).
    stratum
        The stratum's name of each row, shape (n,).
    """
    de_score = predictions.p_up + predictions.p_down
    dir_score = direction_strict(predictions.p_up, predictions.p_down)
    names = list(dict.fromkeys(stratum))
    members = [stratum == name for name in names]
    rankings: list[Ranking] = []
    for of in members:
        rankings.append(rank(truth.is_de, de_score, among=of))
        rankings.append(rank(truth.is_up, dir_score, among=of & truth.is_de))
    intervals = _intervals(rankings, truth, rng=rng, n_resamples=n_resamples)
    return [
        StratumScore(
            str(name), int(of.sum()), int(truth.is_de[of].sum()), int(truth.is_up[of].sum()),
            rankings[2 * i].value(), intervals[2 * i], rankings[2 * i + 1].value(), intervals[2 * i + 1],
        )
        for i, (name, of) in enumerate(zip(names, members, strict=True))
    ]  # fmt: skip


def row_count_bands(counts: np.ndarray) -> np.ndarray:
    """Names of bands of row counts, 1, 2, 3–4, 5–8, …: doubling, so that bands hold comparable numbers of rows."""
    top = np.ceil(np.log2(np.maximum(counts, 1))).astype(int)
    high, low = 2**top, np.where(top > 0, 2 ** np.maximum(top - 1, 0) + 1, 1)
    return np.array([f"{a}" if a == b else f"{a}–{b}" for a, b in zip(low, high, strict=True)], object)


def _intervals(
    rankings: list[Ranking], truth: LabelledQuestions, *, rng: np.random.Generator, n_resamples: int
) -> list[Interval | None]:
    intervals: list[Interval | None] = [None] * len(rankings)
    present = [i for i, r in enumerate(rankings) if r.n_groups]
    if not present or not n_resamples:
        return intervals
    found = resample([rankings[i] for i in present], truth.pert, truth.gene, n_resamples=n_resamples, rng=rng)
    for k, i in enumerate(present):
        rows = rankings[i].rows
        df = min(len(set(truth.pert[rows])), len(set(truth.gene[rows]))) - 1
        intervals[i] = auroc_interval(rankings[i].value(), two_way_variance(found, k).total, df)
    return intervals
