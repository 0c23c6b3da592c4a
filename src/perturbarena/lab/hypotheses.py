"""What a proposal expects, said before the experiment, and what became of it.

A gene that was named is, once measured,

===========  =====================================================================================
as said      it moved (FDR < 5 %) in the direction said
other way    it moved in the other direction
still        its 95 % interval excludes half the change said: it did not move as far
open         anything else: not measured, or too noisy to tell
===========  =====================================================================================

and the hypothesis is **borne out** where at least two genes (one, where one was named) came as said and they
are at least twice those that came the other way or stayed still; **refuted** the other way round; **open**
otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
from scipy.special import ndtr

from perturbarena.lab.measurements import Measurements

MAX_FDR: Final = 0.05
Z95: Final = 1.959964
TWICE: Final = 2
NAMED: Final = 5
"""Genes that a statistical hypothesis names."""
LEAST: Final = 0.1
"""Expected |log2 fold changes| below this are not named."""

Verdict = Literal["borne out", "refuted", "open"]
Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class Move:
    """A gene expected to move: ``log2fc`` (None where only a direction is said), ``sure`` (0 to 1) of the
    direction."""

    gene: str
    direction: Direction
    sure: float
    log2fc: float | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Of one proposed knockout: genes that should move, why, and the probability of a hit (None: not said)."""

    knockout: str
    moves: tuple[Move, ...]
    why: str
    by: str
    hit_probability: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For a proposal's record."""
        return asdict(self) | {"moves": [asdict(move) for move in self.moves]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Hypothesis:
        """What :meth:`as_json` gave."""
        moves = tuple(Move(**move) for move in stored["moves"])
        return cls(stored["knockout"], moves, stored["why"], stored["by"], stored["hit_probability"])

    def said(self) -> str:
        """In words: ``Cxcl10 ↓, Il6 ↑``."""
        return ", ".join(f"{m.gene} {'↑' if m.direction == 'up' else '↓'}" for m in self.moves)


@dataclass(frozen=True, slots=True)
class Settled:
    """A hypothesis after its round: what became of each gene named, in their order, and of the whole."""

    hypothesis: Hypothesis
    genes: tuple[str, ...]
    verdict: Verdict

    def as_json(self) -> dict[str, Any]:
        """For a round's record."""
        return {"knockout": self.hypothesis.knockout, "genes": list(self.genes), "verdict": self.verdict}

    def counts(self) -> dict[str, int]:
        """Genes by what became of them."""
        return dict(Counter(self.genes))


def expected_moves(
    mean: np.ndarray, sd: np.ndarray, genes: np.ndarray, *, usual: np.ndarray, own: str
) -> tuple[Move, ...]:
    """Genes of one predicted profile (G,) that should move, and otherwise than after the ``usual`` knockout
    (G,).

    The largest |mean − usual|/sd come first, among |mean| ≥ LEAST; the ``own`` gene is left out.
    ``sure`` is Φ(|mean|/sd): of the direction, not of being called.
    """
    able = (np.abs(mean) >= LEAST) & (genes != own)
    sure = ndtr(np.abs(mean) / np.maximum(sd, 1e-12))
    apart = np.abs(mean - usual) / np.maximum(sd, 1e-12)
    order = np.argsort(-np.where(able, apart, -1.0), kind="stable")[: min(NAMED, int(able.sum()))]
    return tuple(
        Move(str(genes[g]), "up" if mean[g] > 0 else "down", round(float(sure[g]), 3), round(float(mean[g]), 3))
        for g in order
    )


def settle(hypothesis: Hypothesis, seen: Measurements, *, knockout: str | None = None) -> Settled:
    """Hold a hypothesis against what was measured of its knockout (or, for comparison, of another one)."""
    name = hypothesis.knockout if knockout is None else knockout
    at = {gene: i for i, gene in enumerate(seen.genes)}
    row = {p: i for i, p in enumerate(seen.perturbations)}.get(name)
    found = tuple(_outcome(move, seen, row, at.get(move.gene)) for move in hypothesis.moves)
    return Settled(hypothesis, found, verdict_of(found))


def verdict_of(genes: Sequence[str]) -> Verdict:
    """The rule above."""
    counts = Counter(genes)
    pro, con = counts["as said"], counts["other way"] + counts["still"]
    enough = min(TWICE, len(genes))
    if enough and pro >= enough and pro >= TWICE * con:
        return "borne out"
    if enough and con >= enough and con >= TWICE * pro:
        return "refuted"
    return "open"


def _outcome(move: Move, seen: Measurements, row: int | None, gene: int | None) -> str:
    if row is None or gene is None or not np.isfinite(seen.fdr[row, gene]):
        return "open"
    log2fc = seen.log2fc[row, gene]
    sign = 1 if move.direction == "up" else -1
    if seen.fdr[row, gene] < MAX_FDR:
        return "as said" if sign * log2fc > 0 else "other way"
    said = move.log2fc if move.log2fc is not None else sign * 2 * LEAST
    reach = sign * log2fc + Z95 * seen.se[row, gene]
    return "still" if reach < abs(said) / 2 else "open"


def by_chance(hypotheses: Sequence[Hypothesis], seen: Measurements) -> float:
    """Share borne out when each is held against every other measured knockout instead; NaN with fewer than two.

    Genes that answer to any knockout bear out any hypothesis that names them; what is above this share was
    known of the knockout itself.
    """
    names = set(seen.perturbations)
    pairs = [
        settle(h, seen, knockout=other).verdict == "borne out"
        for h in hypotheses
        if h.knockout in names and h.moves
        for other in names - {h.knockout}
    ]
    return float(np.mean(pairs)) if pairs else float("nan")
