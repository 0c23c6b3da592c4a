"""Cross-validate any predictor that learns: each row is answered without its gene or its knockout in training.

The predictor is a function of training rows and questions; what it is made of is its own affair, down to a command
of another program (:mod:`perturbarena.workflows.external`). The folds are dealt here, and checked before each fit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from perturbarena.challenge.folds import Folds, check_disjoint
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import Block
from perturbarena.tracks import TransferSettings, count_basis, fit_transfer

Progress = Callable[[int, int], None]
"""Told after each fit: how many are done, of how many."""


class Learner(Protocol):
    """Learns from training rows and answers questions, in their order; draws from ``rng`` alone."""

    def __call__(
        self, train: LabelledQuestions, questions: Questions, *, rng: np.random.Generator
    ) -> Predictions: ...


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Out-of-fold answers for every row, in order.

    Attributes
    ----------
    predictions
        Mean over repeats.
    n_fits
        Models fitted, each on rows that share neither gene nor perturbation with the rows it answered.
    basis
        What each answer of the transfer predictor rests on, see :data:`perturbarena.tracks.BASES`; else empty.
    """

    predictions: Predictions
    n_fits: int
    basis: np.ndarray

    def basis_counts(self) -> dict[str, int]:
        """Rows by what their answer rests on, every kind named."""
        return count_basis(self.basis)


def cross_validate(
    rows: LabelledQuestions,
    learner: Learner,
    *,
    n_folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    folds: Folds | None = None,
    progress: Progress | None = None,
) -> OutOfFold:
    """Answer every row out of fold, doubly disjoint; with repeats, the mean over newly dealt folds.

    Repeat r deals its folds with seed ``seed + r``. ``folds`` takes folds dealt before instead, so that several
    predictors are compared on the same ones; there is one repeat then.

    Raises
    ------
    InputError
        If ``repeats`` is below 1, there are too few genes or perturbations for the folds, or an answer lacks a
        question.
    FoldLeakError
        If given folds put a gene or a perturbation into two folds, or a fit's training and test rows share one.
    """
    if repeats < 1 or (folds is not None and repeats > 1):
        raise InputError(f"repeats must be at least 1, and 1 with given folds; got {repeats}")
    up, down = np.zeros(len(rows)), np.zeros(len(rows))
    n_fits = 0
    for r in range(repeats):
        dealt = folds or Folds.deal(rows.pert, rows.gene, n_folds=n_folds, rng=np.random.default_rng(seed + r))
        dealt.check(rows.pert, rows.gene)
        for block in dealt.blocks():
            train, test = rows.take(block.train), rows.questions.take(block.test)
            check_disjoint(train.pert, train.gene, test.pert, test.gene)
            rng = np.random.default_rng([seed + r, block.pert_fold, block.gene_fold])
            answers = learner(train, test, rng=rng)
            if list(answers.id) != list(test.id):
                raise InputError(f"a predictor must answer its {len(test)} questions in order; it did not")
            up[block.test] += answers.p_up / repeats
            down[block.test] += answers.p_down / repeats
            n_fits += 1
            if progress is not None:
                progress(n_fits, repeats * dealt.n_folds**2)
    return OutOfFold(Predictions(rows.id, up, down), n_fits, np.full(len(rows), "", object))


def cross_validate_transfer(
    rows: LabelledQuestions,
    features: Sequence[Block],
    *,
    n_folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    settings: TransferSettings | None = None,
    progress: Progress | None = None,
) -> OutOfFold:
    """:func:`cross_validate` of the transfer predictor; ``basis`` says what each answer rests on."""
    basis: dict[str, str] = {}

    def learn(train: LabelledQuestions, questions: Questions, *, rng: np.random.Generator) -> Predictions:
        answers = fit_transfer(train, features, rng=rng, settings=settings).answer(questions)
        basis.update(zip(questions.id, answers.basis, strict=True))
        return answers.predictions

    found = cross_validate(rows, learn, n_folds=n_folds, repeats=repeats, seed=seed, progress=progress)
    return OutOfFold(found.predictions, found.n_fits, np.array([basis[id_] for id_ in rows.id], object))
