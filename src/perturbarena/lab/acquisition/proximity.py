"""Proximity: candidates near, in a network of genes, to the objective's genes and to the hits found so far."""

from __future__ import annotations

import numpy as np

from perturbarena.errors import InputError
from perturbarena.lab.acquisition.strategy import Pick, Strategy, ranked
from perturbarena.lab.situation import Situation


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """The most often visited by random walks that restart at those genes; half of the starts at either kind."""
    if situation.graph is None:
        raise InputError(
            "the strategy graph needs links between genes; start the campaign with --graph or --store"
        )
    programme = np.abs(situation.objective.weights) if situation.objective.weights else np.empty(0)
    seeds = {g: float(w / programme.sum()) for g, w in zip(situation.objective.genes, programme, strict=True)}
    hits = situation.hits()
    for name in hits:
        seeds[name] = seeds.get(name, 0.0) + 1 / len(hits)
    nearness = situation.graph.proximity(seeds, situation.names)

    def reason(place: int) -> str:
        if not nearness[place]:
            return "drawn by chance: not linked to the objective's genes or to hits"
        return f"near the objective's genes and {len(hits)} hits ({nearness[place]:.2g} times as near as any gene)"

    return ranked(nearness, n, rng=rng, reason=reason)


STRATEGY = Strategy("graph", "near the objective's genes and hits in a network", choose, needs=("graph",))
