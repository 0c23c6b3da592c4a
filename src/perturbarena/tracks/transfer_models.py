"""The models behind the two heads, all of them ridge regressions with a closed form.

Direction: the mean of two models' probabilities, one on the rows' features, one on the features of a Gaussian
kernel in few dimensions (Nyström). Movement: the sum of two parts, how readily the gene moves at all, learned from
one row a gene, and which perturbations move it, learned within genes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, logit

from perturbarena.errors import InputError
from perturbarena.tracks.transfer_design import Rows

EIGENVALUE_FLOOR: Final = 1e-8
"""Directions of the landmarks' kernel with a smaller share of the largest eigenvalue are rounding errors."""


@dataclass(frozen=True, slots=True)
class TransferSettings:
    """Settings of both heads, chosen with fold seeds 100–102 of the published training questions.

    Attributes
    ----------
    ridge
        λ of the linear model, in rows.
    gene_variance
        τ of the linear model: variance of what a gene does beyond its features, where a row's noise is λ.
    kernel_ridge
        λ of the kernel model.
    kernel_scale
        s² of the Gaussian kernel exp(−‖x − x'‖²/2s²), in units of a block's mean squared row length.
    n_landmarks
        Rows the kernel is spanned by. 300 and 600 give the same figures.
    kernel_share
        Weight of the kernel model's probability in the mean; 0 is the linear model alone, 1 the kernel model.
    alone_ridge, pair_ridge
        λ of the two parts of the movement head, in genes and in rows.
    de_confidence
        Factor of the movement head's values about the base rate: out of fold they were that much too far from it.
    pair_columns
        Whether what a perturbation and a gene share counts, beside each one's own features and their products.
    """

    ridge: float = 2.0
    gene_variance: float = 0.1
    kernel_ridge: float = 1.0
    kernel_scale: float = 4.0
    n_landmarks: int = 300
    kernel_share: float = 0.5
    alone_ridge: float = 10.0
    pair_ridge: float = 3.0
    de_confidence: float = 0.6
    pair_columns: bool = True

    def __post_init__(self) -> None:
        positive = (
            "ridge",
            "kernel_ridge",
            "kernel_scale",
            "n_landmarks",
            "alone_ridge",
            "pair_ridge",
            "de_confidence",
        )
        for name in positive:
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be positive; got {getattr(self, name)}")
        if not 0 <= self.kernel_share <= 1:
            raise InputError(f"kernel_share must lie in [0, 1]; got {self.kernel_share}")
        if not self.gene_variance >= 0:
            raise InputError(f"gene_variance must not be negative; got {self.gene_variance}")


@dataclass(frozen=True, slots=True)
class Linear:
    """f(x) = intercept + x·coefficients."""

    intercept: float
    coefficients: np.ndarray

    def value(self, x: np.ndarray) -> np.ndarray:
        """f of each row of ``x`` (n, d)."""
        return self.intercept + x @ self.coefficients


@dataclass(frozen=True, slots=True)
class Kernel:
    """Features of the Gaussian kernel: φ(x) = k(x, landmarks) · whiten, so that φ(x)·φ(x') ≈ k(x, x')."""

    landmarks: np.ndarray
    whiten: np.ndarray
    scale: float

    def features(self, x: np.ndarray) -> np.ndarray:
        """φ of each row of ``x`` (n, e), shape (n, m)."""
        return _gaussian(x, self.landmarks, self.scale) @ self.whiten


@dataclass(frozen=True, slots=True)
class DirectionHead:
    """Probability of "up". Without models (training rows all of one answer) it is the base rate."""

    base_rate: float
    linear: Linear | None = None
    kernel: Kernel | None = None
    on_kernel: Linear | None = None
    kernel_share: float = 0.5

    def probability(self, rows: Rows) -> np.ndarray:
        """Weighted mean of the models' probabilities, shape (n,); never 0 or 1 where there are models."""
        if self.linear is None or self.kernel is None or self.on_kernel is None:
            return np.full(len(rows.linear), self.base_rate)
        by_features = _squash(self.linear.value(rows.linear), self.base_rate)
        by_kernel = _squash(self.on_kernel.value(self.kernel.features(rows.kernel)), self.base_rate)
        return (1 - self.kernel_share) * by_features + self.kernel_share * by_kernel


@dataclass(frozen=True, slots=True)
class MovementHead:
    """Probability that a gene moves: base rate + confidence · (alone + pair + offset), squashed."""

    base_rate: float
    alone: Linear | None = None
    pair: Linear | None = None
    offset: float = 0.0
    confidence: float = 1.0

    def probability(self, rows: Rows) -> np.ndarray:
        """Shape (n,); never 0 or 1 where there is a model."""
        if self.alone is None or self.pair is None:
            return np.full(len(rows.linear), self.base_rate)
        value = self.alone.value(rows.alone) + self.pair.value(rows.pair) + self.offset
        return _squash(self.base_rate + self.confidence * value, self.base_rate)


def fit_movement(rows: Rows, yes: np.ndarray, gene: np.ndarray, *, settings: TransferSettings) -> MovementHead:
    """Fit both parts to ``yes`` (n,) bool.

    alone    mean of yes over a gene's rows = a + x·b, a row a gene, λ = alone_ridge
    pair     yes − its gene's mean = (z − its gene's mean z)·c, a row a question, λ = pair_ridge

    A gene counts once in the first however often it is asked about, and not at all in the second unless both
    answers stand among its rows. The offset makes the values' mean over the training rows 0.
    """
    if not len(yes) or yes.all() or not yes.any():
        return MovementHead(float(yes.mean()) if len(yes) else 0.5)
    target = yes.astype(np.float64)
    first, group = np.unique(gene.astype(str), return_index=True, return_inverse=True)[1:]
    share = np.bincount(group, target) / np.bincount(group)
    alone = ridge(rows.alone[first], share, penalty=settings.alone_ridge, group=np.arange(len(first)))
    inner = _centred(np.column_stack([rows.pair, target]), group)
    normal = inner[:, :-1].T @ inner[:, :-1]
    normal[np.diag_indices_from(normal)] += settings.pair_ridge
    pair = Linear(0.0, cho_solve(cho_factor(normal, overwrite_a=True), inner[:, :-1].T @ inner[:, -1]))
    offset = -float(np.mean(alone.value(rows.alone) + pair.value(rows.pair)))
    return MovementHead(float(target.mean()), alone, pair, offset, settings.de_confidence)


def fit_direction(
    rows: Rows,
    yes: np.ndarray,
    gene: np.ndarray,
    *,
    settings: TransferSettings,
    rng: np.random.Generator | None = None,
    kernel: Kernel | None = None,
) -> DirectionHead:
    """Fit both models to ``yes`` (n,) bool.

    Parameters
    ----------
    rows, yes
        Training rows and their answers.
    gene
        The rows' target gene, shape (n,): rows of one gene are not independent witnesses.
    settings, rng
        See :class:`TransferSettings`; ``rng`` draws the landmarks.
    kernel
        Landmarks that were drawn before, in place of ``rng``.

    Notes
    -----
    No rows at all (nothing moved) give the base rate 1/2.
    """
    if not len(yes) or yes.all() or not yes.any():
        return DirectionHead(float(yes.mean()) if len(yes) else 0.5)
    target = yes.astype(np.float64)
    group = np.unique(gene.astype(str), return_inverse=True)[1]
    linear = ridge(rows.linear, target, penalty=settings.ridge, group=group, group_variance=settings.gene_variance)
    if kernel is None:
        assert rng is not None, "landmarks are either given or drawn"
        kernel = _nystroem(rows.kernel, settings, rng)
    no_group = np.arange(len(target))
    on_kernel = ridge(kernel.features(rows.kernel), target, penalty=settings.kernel_ridge, group=no_group)
    return DirectionHead(float(target.mean()), linear, kernel, on_kernel, settings.kernel_share)


def ridge(
    x: np.ndarray, y: np.ndarray, *, penalty: float, group: np.ndarray, group_variance: float = 0.0
) -> Linear:
    """Ridge regression in which rows of one group share an unexplained part.

    y = a + x·b + u_group + e,  b ~ N(0, I),  u ~ N(0, τ),  e ~ N(0, λ).  The covariance of a group of n rows,
    λI + τ11', is whitened by subtracting c times the group's mean from each row, c = 1 − (1 + nτ/λ)^(−1/2);
    then b minimises ‖y − a − x·b‖² + λ‖b‖² with a by generalised least squares.

    Parameters
    ----------
    x, y
        Shape (n, d) and (n,).
    penalty, group_variance
        λ > 0 and τ ≥ 0. With τ = 0 this is plain ridge regression.
    group
        Codes 0 … g − 1, shape (n,).

    Notes
    -----
    Henderson CR, Biometrics 31:423 (1975), doi:10.2307/2529430, for such mixed models.
    """
    columns = np.column_stack([x, y, np.ones(len(y))])
    if group_variance:
        columns = _whiten(columns, group, group_variance / penalty)
    x_w, one_w = columns[:, :-2], columns[:, -1]
    normal = x_w.T @ x_w
    normal[np.diag_indices_from(normal)] += penalty
    solved = cho_solve(cho_factor(normal, overwrite_a=True), x_w.T @ columns[:, -2:])
    residual = columns[:, -2:] - x_w @ solved
    intercept = float((one_w @ residual[:, 0]) / (one_w @ residual[:, 1]))
    return Linear(intercept, solved[:, 0] - intercept * solved[:, 1])


def _whiten(columns: np.ndarray, group: np.ndarray, ratio: float) -> np.ndarray:
    shrink = 1 - 1 / np.sqrt(1 + np.bincount(group) * ratio)
    return columns - (shrink[:, None] * _means(columns, group))[group]


def _centred(columns: np.ndarray, group: np.ndarray) -> np.ndarray:
    return columns - _means(columns, group)[group]


def _means(columns: np.ndarray, group: np.ndarray) -> np.ndarray:
    size = np.bincount(group)
    order = np.argsort(group, kind="stable")
    sums = np.add.reduceat(columns[order], np.concatenate([[0], np.cumsum(size)[:-1]]), axis=0)
    return sums / size[:, None]


def _nystroem(x: np.ndarray, settings: TransferSettings, rng: np.random.Generator) -> Kernel:
    """Williams & Seeger, NIPS 13:682 (2001): the kernel spanned by landmark rows."""
    chosen = rng.choice(len(x), size=min(settings.n_landmarks, len(x)), replace=False)
    landmarks = x[np.sort(chosen)]
    values, vectors = np.linalg.eigh(_gaussian(landmarks, landmarks, settings.kernel_scale))
    kept = values > EIGENVALUE_FLOOR * values[-1]
    return Kernel(landmarks, vectors[:, kept] / np.sqrt(values[kept]), settings.kernel_scale)


def _gaussian(a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.exp(np.maximum(squared, 0.0) / (-2 * scale))


def _squash(value: np.ndarray, base_rate: float) -> np.ndarray:
    """A regression's value as a probability: equal to it near the base rate, never 0 or 1, order kept."""
    slope = 1 / (base_rate * (1 - base_rate))
    return expit(logit(base_rate) + slope * (value - base_rate))
