"""The winner is held against the baseline once, on rows that had no say in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from perturbarena.challenge.records import LabelledQuestions
from perturbarena.evaluation import Answered, Gated, compare, gate
from perturbarena.workflows.evolve.adapter import Evolution
from perturbarena.workflows.evolve.candidate import Candidate
from perturbarena.workflows.evolve.rows import Parts

MEASURED = ("DE", "DIR")
"""Told beside the score, on which alone the verdict rests."""


class Confirmation(NamedTuple):
    """The look at the confirmation rows, and tokens of a question on either side."""

    gated: Gated
    parts: dict[str, Any]
    """The contrasts of DE and DIR, as JSON."""
    tokens: tuple[float, float]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        baseline, winner = self.tokens
        return self.gated.as_json() | {"of": self.parts, "tokens": {"baseline": baseline, "winner": winner}}


def confirm(
    evolution: Evolution, baseline: Candidate, winner: Candidate, *, ledger: Path, seed: int, n_resamples: int
) -> Confirmation:
    """Ask both prompts about every confirmation row, and judge the paired difference by the ledger's rule.

    Errors as :meth:`Evolution.answer` and :func:`perturbarena.evaluation.gate`.
    """
    parts = evolution.parts
    rows = parts.confirmation
    first, second = (evolution.answer(candidate, rows) for candidate in (baseline, winner))
    answered = Answered(rows, rows.gene, (first.predictions, second.predictions), ())
    seen = _together(parts)
    rng = np.random.default_rng([seed, 2])
    gated = gate(answered, ledger=ledger, train=seen, rng=rng, n_resamples=n_resamples)
    (found,) = compare(
        answered, names=("the baseline", "the variant"), rng=np.random.default_rng([seed, 2]),
        n_resamples=n_resamples, level=1 - gated.look.alpha,
    )  # fmt: skip
    of = {name: found.contrasts[name].as_json() for name in MEASURED}
    return Confirmation(gated, of, (float(first.tokens.mean()), float(second.tokens.mean())))


def _together(parts: Parts) -> LabelledQuestions:
    """Training and selection rows: what had a say in the winner."""
    from perturbarena.challenge.records import Questions

    both = (parts.train, parts.selection)
    questions = Questions(*(np.concatenate([getattr(p, name) for p in both]) for name in ("id", "pert", "gene")))
    return LabelledQuestions(questions, np.concatenate([p.label for p in both]))
