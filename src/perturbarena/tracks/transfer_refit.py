"""What an answer of the transfer predictor leans on: the heads learned anew without some training rows.

Leaving rows out and learning again is exact, and takes a tenth of a second. Which rows are worth it is told
beforehand by a first-order estimate of every row's pull on the answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.tracks.transfer import TransferModel
from perturbarena.tracks.transfer_design import Rows
from perturbarena.tracks.transfer_models import (
    DirectionHead,
    MovementHead,
    TransferSettings,
    fit_direction,
    fit_movement,
)


class Relearner:
    """Learns a fitted model's heads anew from some of its training rows.

    The axes of the features, their scales and the kernel's landmarks stay as they were: they were learned without
    labels. What changes is what the labels taught.
    """

    def __init__(
        self, model: TransferModel, train: LabelledQuestions, *, settings: TransferSettings | None = None
    ) -> None:
        self.model, self.train = model, train
        self.settings = settings or TransferSettings()
        self.rows = model.design.rows(train.pert, train.gene)

    def without(self, left_out: np.ndarray) -> TransferModel:
        """The model without the rows of this mask, shape (n,), bool.

        Raises
        ------
        InputError
            If no row is left.
        """
        kept = np.flatnonzero(~left_out)
        if not len(kept):
            raise InputError("no training row would be left")
        train = self.train.take(kept)
        moved = np.flatnonzero(train.is_de)
        rows = self.rows.take(kept)
        de = fit_movement(rows, train.is_de, train.gene, settings=self.settings)
        gene = train.gene[moved]
        up, kernel = train.is_up[moved], self.model.direction.kernel
        if kernel is None:  # the whole of the training rows taught no direction, so less of them teaches none
            return replace(self.model, de=de)
        direction = fit_direction(rows.take(moved), up, gene, settings=self.settings, kernel=kernel)
        return replace(self.model, de=de, direction=direction)


class Pulls(NamedTuple):
    """By how much p_up and p_down would change, to first order, if a training row were left out; shape (n,)."""

    p_up: np.ndarray
    p_down: np.ndarray


def pulls_of(learner: Relearner, question: Questions) -> Pulls:
    """Every training row's pull on the answer to one question.

    For a ridge regression f, leaving row i out moves f(x) by ``−(1/n + x'A⁻¹xᵢ)·rᵢ`` with x centred, A the
    penalised normal matrix and rᵢ the residual. The movement's part on genes alone moves by what a row has in its
    gene's mean. The parts are put together by the slopes of the probabilities. What rows of a gene share, the
    intercepts and the base rates are left as they are; the estimate only tells what to look at.

    Raises
    ------
    InputError
        If there is not exactly one question.
    """
    if len(question) != 1:
        raise InputError(f"pulls are those on one answer; got {len(question)} questions")
    model, train = learner.model, learner.train
    answer = model.answer(question)
    asked = model.design.rows(question.pert, question.gene)
    d_de = _on_movement(model.de, learner, asked, float(answer.p_de[0]))
    d_dir = np.zeros(len(train))
    moved = np.flatnonzero(train.is_de)
    d_dir[moved] = _on_direction(model.direction, learner, asked, moved)
    p_de, p_dir = float(answer.p_de[0]), float(answer.p_dir[0])
    return Pulls(d_de * p_dir + p_de * d_dir, d_de * (1 - p_dir) - p_de * d_dir)


def _on_movement(head: MovementHead, learner: Relearner, asked: Rows, p: float) -> np.ndarray:
    if head.alone is None or head.pair is None:
        return np.zeros(len(learner.train))
    rows, yes = learner.rows, learner.train.is_de.astype(float)
    group = np.unique(learner.train.gene.astype(str), return_inverse=True)[1]
    size = np.bincount(group)
    mean = np.bincount(group, yes) / size
    first = np.unique(group, return_index=True)[1]
    by_gene = _weights(rows.alone[first], asked.alone, learner.settings.alone_ridge)[group]
    share = np.where(size[group] > 1, (mean[group] - yes) / np.maximum(size[group] - 1, 1), 0.0)
    inner = rows.pair - _group_means(rows.pair, group)
    residual = yes - mean[group] - inner @ head.pair.coefficients
    normal = inner.T @ inner
    normal[np.diag_indices_from(normal)] += learner.settings.pair_ridge
    by_pair = inner @ cho_solve(cho_factor(normal), asked.pair[0])
    return _slope(p, head.base_rate) * head.confidence * (by_gene * share - by_pair * residual)


def _on_direction(head: DirectionHead, learner: Relearner, asked: Rows, moved: np.ndarray) -> np.ndarray:
    if head.linear is None or head.kernel is None or head.on_kernel is None:
        return np.zeros(len(moved))
    up, settings = learner.train.is_up[moved].astype(float), learner.settings
    rows = learner.rows.take(moved)
    total = np.zeros(len(moved))
    for weight, part, x, own, penalty in (
        (1 - head.kernel_share, head.linear, rows.linear, asked.linear, settings.ridge),
        (
            head.kernel_share, head.on_kernel, head.kernel.features(rows.kernel),
            head.kernel.features(asked.kernel), settings.kernel_ridge,
        ),
    ):  # fmt: skip
        value = float(part.value(own)[0])
        slope = _slope_at(value, head.base_rate)
        total -= weight * slope * _weights(x, own, penalty) * (up - part.value(x))
    return total


def _weights(x: np.ndarray, own: np.ndarray, penalty: float) -> np.ndarray:
    """1/n + own'A⁻¹xᵢ, centred, shape (n,)."""
    centred = x - x.mean(axis=0)
    normal = centred.T @ centred
    normal[np.diag_indices_from(normal)] += penalty
    return 1 / len(x) + centred @ cho_solve(cho_factor(normal), own[0] - x.mean(axis=0))


def _group_means(x: np.ndarray, group: np.ndarray) -> np.ndarray:
    sums = np.zeros((int(group.max()) + 1, x.shape[1]))
    np.add.at(sums, group, x)
    return (sums / np.bincount(group)[:, None])[group]


def _slope(p: float, base_rate: float) -> float:
    """dp/dvalue of a squashed value, by the probability."""
    return p * (1 - p) / (base_rate * (1 - base_rate))


def _slope_at(value: float, base_rate: float) -> float:
    """The same, by the value before it is squashed."""
    from scipy.special import expit, logit

    p = float(expit(logit(base_rate) + (value - base_rate) / (base_rate * (1 - base_rate))))
    return _slope(p, base_rate)
