"""Choosing a batch by what its members would tell together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from perturbarena.lab.acquisition.strategy import Pick, best
from perturbarena.lab.situation import Situation
from perturbarena.lab.surrogate import Joint

MOST: Final = 2000
"""Candidates whose covariance is kept; of more, those with the largest variance."""


def choose_jointly(
    situation: Situation,
    n: int,
    score: Callable[[Joint], np.ndarray],
    *,
    reason: Callable[[int, float], str],
    rng: np.random.Generator,
) -> list[Pick]:
    """One after another the candidate of the highest ``score``, the chosen ones taken as measured."""
    if not situation.effects.learns:
        return [
            Pick(int(p), 0.0, "drawn by chance: nothing has been learned yet")
            for p in rng.permutation(len(situation.open))[:n]
        ]
    among = np.arange(len(situation.open))
    if len(among) > max(MOST, n):
        among = np.sort(best(situation.effects.spread(situation.open), max(MOST, n), rng=rng))
    joint = situation.effects.covariance(situation.open[among])
    picks: list[Pick] = []
    free = np.ones(len(among), bool)
    for rank in range(1, n + 1):
        scores = np.where(free, score(joint), -np.inf)
        chosen = best(scores, 1, rng=rng)[0]
        free[chosen] = False
        picks.append(Pick(int(among[chosen]), float(scores[chosen]), reason(rank, float(scores[chosen]))))
        joint = joint.after(chosen)
    return picks
