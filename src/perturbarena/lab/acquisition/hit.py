"""Probability of a hit: the batch with the most hits to be expected, if what is believed now is right."""

from __future__ import annotations

import numpy as np

from perturbarena.lab.acquisition.strategy import Pick, Strategy, ranked
from perturbarena.lab.situation import Situation


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """The n highest probabilities: the expected number of hits is their sum, whatever hangs together."""
    believed = situation.believed

    def reason(place: int) -> str:
        return (
            f"a hit with probability {situation.p_hit[place]:.2f}: value {believed.mean[place, 0]:+.2f} "
            f"± {believed.sd[place, 0]:.2f} expected, {situation.hit_above:+.2f} is a hit"
        )

    return ranked(situation.p_hit, n, rng=rng, reason=reason)


STRATEGY = Strategy("hit", "most probably hits", choose, needs=("data", "features"))
