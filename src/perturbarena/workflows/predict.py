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
from perturbarena.tracks import (
    Near,
    TransferAnswers,
    TransferModel,
    TransferSettings,
    count_basis,
    evidence,
    fit_transfer,
    refit_ranges,
)


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
    model: TransferModel

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
    return Answered(model.answer(questions), overlap, model)


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


def evidence_table(
    train: LabelledQuestions,
    questions: Questions,
    features: Sequence[Block],
    answered: Answered,
    *,
    n_refits: int,
    seed: int = 0,
    settings: TransferSettings | None = None,
) -> pd.DataFrame:
    """One line a question: its two probabilities with their ranges over refits, and what speaks for them.

    Columns: id, pert, gene; basis (``no basis`` where neither name has features); p_moves and p_up_if_moved, each
    with ``_low`` and ``_high`` (see :func:`perturbarena.tracks.refit_ranges`; empty with ``n_refits`` 0);
    nearest_perturbations and nearest_genes, ``Name (cosine; moved/rows moved, up/moved up)`` separated by ``; ``;
    shared_sets, ``NAME (size)``.
    """
    answers = answered.answers
    table = pd.DataFrame({"id": questions.id, "pert": questions.pert, "gene": questions.gene})
    table["basis"] = np.where(answers.basis == "none", "no basis", answers.basis)
    values = {"p_moves": answers.p_de, "p_up_if_moved": answers.p_dir}
    if n_refits:
        rng = np.random.default_rng([seed, 1])
        ranges = refit_ranges(
            train, questions, features, model=answered.model, n_refits=n_refits, rng=rng, settings=settings
        )
    else:
        ranges = (None, None)
    for (name, value), bounds in zip(values.items(), ranges, strict=True):
        table[name] = value
        table[f"{name}_low"] = "" if bounds is None else bounds.low
        table[f"{name}_high"] = "" if bounds is None else bounds.high
    found = evidence(answered.model, train, questions, features)
    table["nearest_perturbations"] = [_named(each.perts) for each in found]
    table["nearest_genes"] = [_named(each.genes) for each in found]
    table["shared_sets"] = ["; ".join(f"{name} ({size})" for name, size in each.shared_sets) for each in found]
    return table


def _named(near: Sequence[Near]) -> str:
    return "; ".join(
        f"{n.name} ({n.cosine:.2f}; {n.n_moved}/{n.n_rows} moved, {n.n_up}/{n.n_moved} up)" for n in near
    )


def most_confident(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """The n rows with the largest probability of either direction; rows without a basis are no candidates."""
    based = table[table["basis"] != "none"]
    confidence = based[["prediction_up", "prediction_down"]].max(axis=1)
    return based.loc[confidence.sort_values(ascending=False, kind="stable").index[:n]]
