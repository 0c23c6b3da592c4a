"""The next round: which knockouts, in what order, why, and what each is expected to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from perturbarena.challenge.words import counted
from perturbarena.errors import InputError
from perturbarena.lab.acquisition import Strategy
from perturbarena.lab.hypotheses import Hypothesis, Move, expected_moves
from perturbarena.lab.situation import Situation


@dataclass(frozen=True, slots=True)
class Proposed:
    """One knockout: ``value`` ± ``value_sd`` expected, the strategy's ``score``, and the hypothesis."""

    name: str
    score: float
    value: float
    value_sd: float
    hypothesis: Hypothesis

    def as_json(self) -> dict[str, Any]:
        """For the round's record."""
        numbers = {"score": self.score, "value": self.value, "value_sd": self.value_sd}
        return {"name": self.name, **numbers, "hypothesis": self.hypothesis.as_json()}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Proposed:
        """What :meth:`as_json` gave."""
        numbers = {name: float(stored[name]) for name in ("score", "value", "value_sd")}
        return cls(name=stored["name"], hypothesis=Hypothesis.from_json(stored["hypothesis"]), **numbers)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A batch, best first, with the predicted profiles: ``mean`` and ``sd`` (n, G) over ``genes`` (G,),
    float32; ``usual`` (G,) the mean effect known before."""

    picks: tuple[Proposed, ...]
    genes: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    usual: np.ndarray
    explained: float


def propose(situation: Situation, strategy: Strategy, n: int, *, rng: np.random.Generator) -> Proposal:
    """Choose n of the open candidates and say what is expected of each.

    Raises
    ------
    InputError
        If fewer are open, or the strategy lacks something it needs.
    """
    if not 0 < n <= len(situation.open):
        raise InputError(
            f"{counted(n, 'knockout')} wanted; {counted(len(situation.open), 'candidate')} can still be proposed"
        )
    picks = strategy.choose(situation, n, rng=rng)
    rows = situation.open[[pick.place for pick in picks]]
    believed, learns = situation.believed, situation.values.learns
    genes = situation.seen.genes
    predicted = situation.effects.profiles(rows)
    proposed = []
    for i, pick in enumerate(picks):
        name = str(situation.names[pick.place])
        moves: tuple[Move, ...] = pick.moves
        if not moves and situation.effects.learns:
            moves = expected_moves(
                predicted.mean[i], predicted.sd[i], genes, usual=situation.effects.centre, own=name
            )
        probability = round(float(situation.p_hit[pick.place]), 4) if learns else None
        hypothesis = Hypothesis(name, moves, pick.reason, strategy.name, probability)
        value, sd = (float(x[pick.place, 0]) for x in (believed.mean, believed.sd))
        proposed.append(Proposed(name, pick.score, value, sd, hypothesis))
    return Proposal(
        tuple(proposed),
        genes,
        predicted.mean.astype(np.float32),
        predicted.sd.astype(np.float32),
        situation.effects.centre.astype(np.float32),
        situation.effects.explained,
    )
