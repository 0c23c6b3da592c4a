"""Cross-validate the transfer predictor: each row is answered without its gene or its knockout in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from perturbarena.challenge.folds import Folds, check_disjoint
from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.errors import InputError
from perturbarena.knowledge import Block
from perturbarena.tracks import TransferSettings, count_basis, fit_transfer

Progress = Callable[[int, int], None]
"""Told after each fit: how many are done, of how many."""


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Out-of-fold answers for every row, in order.

    Attributes
    ----------
    predictions
        Mean over repeats.
    basis
        What each answer rests on, see :data:`perturbarena.tracks.BASES`.
    n_fits
        Models fitted, each on rows that share neither gene nor perturbation with the rows it answered.
    """

    predictions: Predictions
    basis: np.ndarray
    n_fits: int

    def basis_counts(self) -> dict[str, int]:
        """Rows by what their answer rests on, every kind named."""
        return count_basis(self.basis)


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
    """Answer every row out of fold, doubly disjoint; with repeats, the mean over newly dealt folds.

    Repeat r deals its folds with seed ``seed + r``.

    Raises
    ------
    InputError
        If ``repeats`` is below 1, there are too few genes or perturbations for the folds, or a block has no
        training rows.
    FoldLeakError
        If a fit's training and test rows share a gene or a perturbation.
    """
    if repeats < 1:
        raise InputError(f"repeats must be at least 1; got {repeats}")
    up, down = np.zeros(len(rows)), np.zeros(len(rows))
    basis = np.full(len(rows), "", object)
    n_fits, n_planned = 0, repeats * n_folds**2
    for r in range(repeats):
        folds = Folds.deal(rows.pert, rows.gene, n_folds=n_folds, rng=np.random.default_rng(seed + r))
        for block in folds.blocks():
            train, test = rows.take(block.train), rows.questions.take(block.test)
            check_disjoint(train.pert, train.gene, test.pert, test.gene)
            rng = np.random.default_rng([seed + r, block.pert_fold, block.gene_fold])
            answers = fit_transfer(train, features, rng=rng, settings=settings).answer(test)
            up[block.test] += answers.predictions.p_up / repeats
            down[block.test] += answers.predictions.p_down / repeats
            basis[block.test] = answers.basis
            n_fits += 1
            if progress is not None:
                progress(n_fits, n_planned)
    return OutOfFold(Predictions(rows.id, up, down), basis, n_fits)
