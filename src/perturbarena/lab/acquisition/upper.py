"""Upper confidence: high values or unsure ones, each after those chosen before it."""

from __future__ import annotations

from typing import Final

import numpy as np

from perturbarena.lab.acquisition.strategy import Pick, Strategy, best, ranked
from perturbarena.lab.situation import Situation

WIDTH: Final = 1.0
"""Standard deviations above the expected value."""
MOST: Final = 2000
"""Candidates that are looked at jointly: those of the highest bound."""


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """Greedily the largest mean + √(variance that likeness explains), the chosen ones taken as measured with
    the value expected of them (doi:10.5555/2627435.2750368)."""
    mean, values = situation.believed.mean[:, 0], situation.values
    bound = mean + WIDTH * np.sqrt(situation.believed.shared[:, 0])
    if not values.learns:
        return ranked(bound, n, rng=rng, reason=lambda _: "drawn by chance: nothing has been learned yet")
    among = np.sort(best(bound, max(MOST, n), rng=rng))
    joint = values.covariance(situation.open[among])
    free, picks = np.ones(len(among), bool), []
    for _ in range(n):
        sd = np.sqrt(np.maximum(np.diag(joint.covariance), 0.0))
        scores = np.where(free, mean[among] + WIDTH * sd, -np.inf)
        chosen = best(scores, 1, rng=rng)[0]
        free[chosen] = False
        reason = f"value may reach {scores[chosen]:+.2f}: {mean[among[chosen]]:+.2f} expected, ± {sd[chosen]:.2f}"
        picks.append(Pick(int(among[chosen]), float(scores[chosen]), reason))
        joint = joint.after(chosen)
    return picks


STRATEGY = Strategy("ucb", "high or unsure values (upper confidence)", choose, needs=("data", "features"))
