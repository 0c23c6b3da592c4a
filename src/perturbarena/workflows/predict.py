"""Learn from labelled questions and answer others: the way from files to answers, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import GeneFeatures
from perturbarena.tracks import BASES, TransferAnswers, TransferSettings, fit_transfer


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many questions share a perturbation, a target gene, or both with a training row."""

    pert: int
    gene: int
    both: int


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers with what a reader needs to judge them."""

    answers: TransferAnswers
    overlap: Overlap

    def basis_counts(self) -> dict[str, int]:
        """Questions by what their answer rests on, every kind named."""
        return {name: int((self.answers.basis == name).sum()) for name in reversed(BASES)}


def answer_transfer(
    train: LabelledQuestions,
    questions: Questions,
    features: Sequence[GeneFeatures],
    *,
    seed: int = 0,
    settings: TransferSettings | None = None,
) -> Answered:
    """Fit the transfer predictor on ``train`` and answer ``questions``."""
    model = fit_transfer(train, features, rng=np.random.default_rng(seed), settings=settings)
    pert, gene = np.isin(questions.pert, list(set(train.pert))), np.isin(questions.gene, list(set(train.gene)))
    overlap = Overlap(int(pert.sum()), int(gene.sum()), int((pert & gene).sum()))
    return Answered(model.answer(questions), overlap)


def grid(perts: Sequence[str], genes: Sequence[str]) -> Questions:
    """Every perturbation with every gene, except with itself.

    Raises
    ------
    InputError
        If nothing is left to ask.
    """
    pairs = [(p, g) for p in dict.fromkeys(perts) for g in dict.fromkeys(genes) if p != g]
    if not pairs:
        raise InputError(f"{len(perts)} perturbations and {len(genes)} genes leave no pair to ask about")
    return Questions.from_pairs([p for p, _ in pairs], [g for _, g in pairs])
