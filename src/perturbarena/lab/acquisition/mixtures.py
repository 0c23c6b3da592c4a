"""Mixtures: a batch dealt to several strategies by their shares, such as ``0.7*hit+0.3*diversity``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from perturbarena.errors import InputError
from perturbarena.lab.acquisition.strategy import Pick, Strategy
from perturbarena.lab.situation import Situation


def mixture(parts: Sequence[tuple[float, Strategy]]) -> Strategy:
    """One strategy of several, each with a share above 0; shares are relative to their sum.

    Raises
    ------
    InputError
        If a share is not above 0.
    """
    total = sum(share for share, _ in parts)
    if any(not share > 0 for share, _ in parts):
        raise InputError(f"shares in a mixture must be above 0; got {[share for share, _ in parts]}")
    shares = [share / total for share, _ in parts]

    def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
        """Places are dealt one by one to the part that is furthest behind its share."""
        queues = [strategy.choose(situation, n, rng=part) for (_, strategy), part in
                  zip(parts, rng.spawn(len(parts)), strict=True)]  # fmt: skip
        taken: set[int] = set()
        picks: list[Pick] = []
        given = np.zeros(len(parts))
        while len(picks) < n:
            i = int(np.argmax(np.array(shares) * (len(picks) + 1) - given))
            pick = next(p for p in queues[i] if p.place not in taken)
            taken.add(pick.place)
            given[i] += 1
            picks.append(replace(pick, reason=f"{parts[i][1].name}: {pick.reason}"))
        return picks

    name = "+".join(f"{share:g}*{strategy.name}" for share, (_, strategy) in zip(shares, parts, strict=True))
    needs = tuple(dict.fromkeys(need for _, strategy in parts for need in strategy.needs))
    return Strategy(name, "a batch dealt to several strategies", choose, needs)
