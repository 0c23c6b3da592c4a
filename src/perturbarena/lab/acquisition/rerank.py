"""A language model as second opinion: it orders the most probable hits anew."""

from __future__ import annotations

from typing import Final

import numpy as np

from perturbarena.lab.acquisition.hit import choose as most_probable
from perturbarena.lab.acquisition.llm import ANSWER, aim, answered, ask, record
from perturbarena.lab.acquisition.strategy import Pick, Strategy
from perturbarena.lab.situation import Situation

SHORTLIST: Final = 3
"""Times as many candidates as are to be chosen."""


def choose(situation: Situation, n: int, *, rng: np.random.Generator) -> list[Pick]:
    """The model chooses among the 3n most probable hits; what it leaves open is filled in their order."""
    short = most_probable(situation, min(SHORTLIST * n, len(situation.open)), rng=rng)
    lines = [f"- {situation.names[pick.place]}: {pick.reason}" for pick in short]
    prompt = "\n\n".join(
        [
            f"You choose {n} of {len(short)} gene knockouts that a statistical model has shortlisted.",
            aim(situation),
            record(situation),
            "\n".join(["Shortlist, most probable first:", *lines]),
            ANSWER.format(n=n),
        ]
    )
    allowed = {pick.place for pick in short}
    picks = answered(situation, n, ask(situation, prompt), rng=rng, by="re-ranked", fill=short)
    kept = [pick for pick in picks if pick.place in allowed]
    rest = [pick for pick in short if pick.place not in {p.place for p in kept}]
    return (kept + rest)[:n]


STRATEGY = Strategy("llm-rerank", "a language model orders the most probable hits", choose,
                    needs=("data", "features", "model"))  # fmt: skip
