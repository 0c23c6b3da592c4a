"""Uncertainty: the candidates whose effects are least sure, each after those chosen before it.

What a Gaussian process is unsure of does not depend on the results, so a batch is exact: once a candidate is
chosen, those like it count as partly known (doi:10.1145/1102351.1102385 for the greedy bound).
"""

from __future__ import annotations

import numpy as np

from perturbarena.lab.acquisition.batch import choose_jointly
from perturbarena.lab.acquisition.strategy import Pick, Strategy
from perturbarena.lab.situation import Situation


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """Greedily, the largest variance that is left."""

    def reason(rank: int, score: float) -> str:
        return f"least sure of its effects, {rank - 1} chosen before it taken as known (variance {score:.3g})"

    return choose_jointly(situation, n, lambda joint: np.diag(joint.covariance), reason=reason, rng=rng)


STRATEGY = Strategy("uncertainty", "least sure effects, batch taken as known", choose, needs=("data", "features"))
