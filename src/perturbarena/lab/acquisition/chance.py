"""Chance: what every other way of choosing has to beat."""

from __future__ import annotations

import numpy as np

from perturbarena.lab.acquisition.strategy import Pick, Strategy
from perturbarena.lab.situation import Situation


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """Any n."""
    return [Pick(int(p), 0.0, "drawn by chance") for p in rng.permutation(len(situation.open))[:n]]


STRATEGY = Strategy("random", "any candidates", choose)
