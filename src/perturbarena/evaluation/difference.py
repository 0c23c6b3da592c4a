"""Is one set of answers better than another? Paired differences: both sides on the same resamples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from scipy.special import stdtrit

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation.reference import direction_strict
from perturbarena.stats.auroc import rank
from perturbarena.stats.resampling import LEVEL, Interval, resample, two_way_variance

_COMBINATIONS: Final = {
    "score": (0.5, 0.5, 0.0),
    "de_auroc": (1.0, 0.0, 0.0),
    "dir_auroc": (0.0, 1.0, 0.0),
    "de_within_gene": (0.0, 0.0, 1.0),
}


class Difference(NamedTuple):
    """``second − first`` of one measure; None where the interval cannot be told."""

    value: float
    interval: Interval | None


def paired_differences(
    truth: LabelledQuestions,
    answers: Sequence[Predictions],
    *,
    rng: np.random.Generator,
    n_resamples: int = 2000,
) -> list[dict[str, Difference]]:
    """Every further set of answers less the first, by measure; all rows in one order.

    ``difference ± t·√V``, V two-way over resamples that both sides share, t Student's with as many degrees of
    freedom as the smaller number of perturbations or genes less one.
    """
    rankings = []
    for given in answers:
        de_score = given.p_up + given.p_down
        rankings += [
            rank(truth.is_de, de_score),
            rank(truth.is_up, direction_strict(given.p_up, given.p_down), among=truth.is_de),
            rank(truth.is_de, de_score, group=truth.gene),
        ]
    values = np.array([r.value() for r in rankings]).reshape(len(answers), 3)
    replicates = resample(rankings, truth.pert, truth.gene, n_resamples=n_resamples, rng=rng)
    t = float(stdtrit(max(min(replicates.n_pert, replicates.n_gene) - 1, 1), 0.5 + LEVEL / 2))
    found = []
    for i in range(1, len(answers)):
        of = {}
        for measure, combination in _COMBINATIONS.items():
            weights = np.zeros((len(answers), 3))
            weights[0], weights[i] = -np.asarray(combination), combination
            used = np.flatnonzero(combination)
            value = float((values[i, used] - values[0, used]) @ np.asarray(combination)[used])
            variance = two_way_variance(replicates.column(weights.ravel().tolist())).total
            half = t * np.sqrt(variance)
            of[measure] = Difference(value, Interval(value - half, value + half) if variance >= 0 else None)
        found.append(of)
    return found
