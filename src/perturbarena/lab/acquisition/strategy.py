"""What every way of choosing the next knockouts has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from perturbarena.lab.hypotheses import Move
from perturbarena.lab.situation import Situation


@dataclass(frozen=True, slots=True)
class Pick:
    """A chosen candidate: its place among the open ones, its score, and why; ``moves`` where the chooser
    says which genes it expects to move."""

    place: int
    score: float
    reason: str
    moves: tuple[Move, ...] = ()


class Choose(Protocol):
    """Chooses n of the situation's open candidates as one batch, best first."""

    def __call__(self, situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
        """Exactly n different picks; n is at most the number of open candidates."""
        ...


@dataclass(frozen=True, slots=True)
class Strategy:
    """A named way of choosing. ``needs``: ``data``, ``features``, ``graph``, ``model``, or nothing."""

    name: str
    summary: str
    choose: Choose
    needs: tuple[str, ...] = ()


def best(scores: np.ndarray, n: int, *, rng: np.random.Generator) -> list[int]:
    """Places of the n highest scores, highest first; ties in random order."""
    shuffled = rng.permutation(len(scores))
    return shuffled[np.argsort(-scores[shuffled], kind="stable")][:n].tolist()


def ranked(scores: np.ndarray, n: int, *, rng: np.random.Generator, reason: Callable[[int], str]) -> list[Pick]:
    """The n highest scores as picks; ``reason`` says why, by place."""
    return [Pick(place, float(scores[place]), reason(place)) for place in best(scores, n, rng=rng)]


def with_reasons(places: Sequence[int], scores: Sequence[float], reasons: Sequence[str]) -> list[Pick]:
    """Picks from three lists."""
    return [Pick(int(p), float(s), r) for p, s, r in zip(places, scores, reasons, strict=True)]
