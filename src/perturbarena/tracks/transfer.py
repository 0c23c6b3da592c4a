"""The predictor without a language model: learn from labelled questions, answer for genes never seen.

A gene or a knockout is known to it by features alone (expression, gene sets, co-expression, any table), so that it
answers for any pair. It asks two questions of every row, "does the gene move?" (DE) and, learned from moved rows
only, "does it go up?" (DIR), and answers p_up = p_de · p_dir.

What it does not use: how many rows a gene or a perturbation has, in training or among the questions. In a question
set that samples moved genes more often, such counts give labels away without any biology. Questions are answered
one by one; what else is asked changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import Block
from perturbarena.tracks.transfer_design import Design
from perturbarena.tracks.transfer_models import (
    DirectionHead,
    MovementHead,
    TransferSettings,
    fit_direction,
    fit_movement,
)

BASES: Final = ("none", "perturbation only", "gene only", "gene and perturbation")
"""What an answer rests on: the features of neither, of one, or of both."""


@dataclass(frozen=True, slots=True)
class TransferAnswers:
    """n answers, in the questions' order.

    Attributes
    ----------
    predictions
        ``p_up = p_de · p_dir`` and ``p_down = p_de · (1 − p_dir)``.
    p_de, p_dir
        Probability that the gene moves, and that it goes up if it moves, shape (n,).
    basis
        One of :data:`BASES` for each answer, shape (n,). An answer with basis ``none`` is the base rate of the
        training rows: no opinion.
    """

    predictions: Predictions
    p_de: np.ndarray
    p_dir: np.ndarray
    basis: np.ndarray


def count_basis(basis: np.ndarray) -> dict[str, int]:
    """How many answers rest on what, the best first, every kind named."""
    return {name: int((basis == name).sum()) for name in reversed(BASES)}


@dataclass(frozen=True, slots=True)
class TransferModel:
    """A fitted predictor: how names become features, and one head each for DE and DIR."""

    design: Design
    de: MovementHead
    direction: DirectionHead

    def answer(self, questions: Questions) -> TransferAnswers:
        """Answers for any questions, of genes and perturbations seen or not."""
        rows = self.design.rows(questions.pert, questions.gene)
        basis = rows.has_pert + 2 * rows.has_gene
        blind = basis == 0
        p_de = np.where(blind, self.de.base_rate, self.de.probability(rows))
        p_dir = np.where(blind, self.direction.base_rate, self.direction.probability(rows))
        predictions = Predictions(questions.id, p_de * p_dir, p_de * (1 - p_dir))
        return TransferAnswers(predictions, p_de, p_dir, np.array(BASES, object)[basis])


def fit_transfer(
    train: LabelledQuestions,
    features: Sequence[Block],
    *,
    rng: np.random.Generator,
    settings: TransferSettings | None = None,
) -> TransferModel:
    """Learn both heads.

    Parameters
    ----------
    train
        Labelled questions.
    features
        One or more blocks; genes may be missing from any of them.
    rng
        Draws the landmark rows of the kernel model.
    settings
        Default: as chosen beforehand, see :class:`TransferSettings`.

    Raises
    ------
    InputError
        If there are no training rows, no blocks, or the training rows' genes and perturbations
        have no features that differ.
    """
    if not len(train):
        raise InputError("the predictor needs training rows; got none")
    settings = TransferSettings() if settings is None else settings
    design = Design.learn(train.questions, features, pair_columns=settings.pair_columns)
    rows = design.rows(train.pert, train.gene)
    moved = np.flatnonzero(train.is_de)
    return TransferModel(
        design,
        de=fit_movement(rows, train.is_de, train.gene, settings=settings),
        direction=fit_direction(
            rows.take(moved), train.is_up[moved], train.gene[moved], settings=settings, rng=rng
        ),
    )
