"""Diversity: candidates far from all that was measured and from each other (k-centre)."""

from __future__ import annotations

import numpy as np

from perturbarena.lab.acquisition.strategy import Pick, Strategy, best
from perturbarena.lab.features import squared_distances
from perturbarena.lab.situation import Situation


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """One after another the candidate farthest from its nearest measured or chosen one (arXiv:1708.00489)."""
    matrix, known = situation.features.matrix, situation.features.known[situation.open]
    ours, theirs = matrix[situation.open], matrix[situation.measured]
    nearest = squared_distances(ours, theirs).min(axis=1) if len(theirs) else np.full(len(ours), np.inf)
    nearest[~known] = -1.0  # what has no features is not far away, its place is unknown
    free = np.ones(len(ours), bool)
    picks: list[Pick] = []
    for _ in range(n):
        place = best(np.where(free, nearest, -np.inf), 1, rng=rng)[0]
        free[place] = False
        if not known[place]:
            picks.append(Pick(place, 0.0, "drawn by chance: nothing is known of it"))
            continue
        if np.isinf(nearest[place]):
            picks.append(Pick(place, 0.0, "drawn by chance: the first"))
        else:
            distance = float(np.sqrt(nearest[place]))
            picks.append(
                Pick(place, distance, f"unlike all measured or chosen before it (distance {distance:.2f})")
            )
        nearest[known] = np.minimum(nearest, squared_distances(ours, ours[place : place + 1])[:, 0])[known]
    return picks


STRATEGY = Strategy("diversity", "far from all measured and from each other", choose, needs=("features",))
