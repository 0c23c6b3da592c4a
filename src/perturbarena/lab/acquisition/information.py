"""Information: the candidates whose results would lower the uncertainty about all others most."""

from __future__ import annotations

import numpy as np

from perturbarena.lab.acquisition.batch import choose_jointly
from perturbarena.lab.acquisition.strategy import Pick, Strategy
from perturbarena.lab.situation import Situation
from perturbarena.lab.surrogate import Joint


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """Greedily, the largest fall of the variance summed over all open candidates (doi:10.1613/jair.295)."""

    def reason(rank: int, score: float) -> str:
        return f"tells most about the others, {rank - 1} chosen before it taken as known (variance −{score:.3g})"

    return choose_jointly(situation, n, Joint.reduction, reason=reason, rng=rng)


STRATEGY = Strategy("information", "tell most about all others", choose, needs=("data", "features"))
