"""Learn from labelled questions and answer others: the way from files to answers, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import FormatError, InputError
from perturbarena.knowledge import Block
from perturbarena.tracks import TransferAnswers, TransferSettings, count_basis, fit_transfer


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
        return count_basis(self.answers.basis)


def answer_transfer(
    train: LabelledQuestions,
    questions: Questions,
    features: Sequence[Block],
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


def read_names(given: str) -> list[str]:
    """Names separated by commas, or the lines of a file of that name.

    Raises
    ------
    InputError
        If there is no name, or a file is meant that is not there or is not text.
    """
    path = Path(given)
    if path.is_file():
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
        names = [line.strip() for line in text.splitlines()]
    else:
        names = [name.strip() for name in given.split(",")]
        if path.suffix in (".txt", ".csv", ".tsv") or "/" in given:
            raise FormatError(f"no such file: {given}")
    names = [name for name in names if name]
    if not names:
        raise InputError(f"names are needed, separated by commas or one a line in a file; {given!r} has none")
    return names


def answers_table(questions: Questions, answers: TransferAnswers) -> pd.DataFrame:
    """``id,pert,gene,prediction_up,prediction_down,basis``, in the questions' order."""
    return pd.DataFrame(
        {
            "id": questions.id,
            "pert": questions.pert,
            "gene": questions.gene,
            "prediction_up": answers.predictions.p_up,
            "prediction_down": answers.predictions.p_down,
            "basis": answers.basis,
        }
    )


def most_confident(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """The n rows with the largest probability of either direction; rows without a basis are no candidates."""
    based = table[table["basis"] != "none"]
    confidence = based[["prediction_up", "prediction_down"]].max(axis=1)
    return based.loc[confidence.sort_values(ascending=False, kind="stable").index[:n]]
