"""Predicts what a knockout would do from what like knockouts did, and says how unsure that is.

Effects are written in few components, Y − ȳ ≈ U S Vᵀ over the m measured knockouts, and each component is a
Gaussian process over the candidates' features,

    y ~ N(0, σ²·(h²·K + (1 − h²)·I)),

with K a kernel and h² the share of the variance that likeness explains; the rest is each knockout's own (and
noise). K and h² are not chosen: the answers of all of them are averaged, weighted by how probable they make
the component (evidence, with σ² maximised), so that with few knockouts, or features that tell nothing, the
prediction stays near the mean and says so. The form is that of genomic prediction
(doi:10.3168/jds.2007-0980); averaging over h² stands for its estimation, which few knockouts do not allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from perturbarena.lab.features import Kernel

H2: Final = (0.0, 0.15, 0.3, 0.5, 0.7, 0.9)
"""Shares of variance that likeness may explain."""
COMPONENTS: Final = 40
"""At most so many components are predicted; the others count as a knockout's own."""
FEWEST: Final = 3
"""With fewer knockouts nothing is learned: the mean is predicted, of which nothing but the scale is unsure."""
RIDGE: Final = 1e-8


class Predicted(NamedTuple):
    """For n candidates and k components or genes: ``mean`` (n, k), and the variance (n, k) of what likeness
    explains (``shared``) and of what it does not (``own``, (k,))."""

    mean: np.ndarray
    shared: np.ndarray
    own: np.ndarray

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation of what would be seen, (n, k)."""
        return np.sqrt(self.shared + self.own)


class _Model(NamedTuple):
    """One kernel and h²: eigenvectors (m, m) and eigenvalues of K, with the variance of each component under
    it."""

    kernel: Kernel
    h2: float
    vectors: np.ndarray
    noisy: np.ndarray
    scale: np.ndarray


@dataclass(frozen=True, slots=True)
class Surrogate:
    """What was learned from m knockouts of G genes.

    ``measured`` (m,) rows of the candidates; ``centre`` (G,); ``loadings`` (k, G) and ``scores`` (m, k) of the
    components; ``rest`` (G,) variance beyond them; ``models`` with ``weights`` (models, k), columns summing
    to 1.
    """

    measured: np.ndarray
    centre: np.ndarray
    loadings: np.ndarray
    scores: np.ndarray
    rest: np.ndarray
    models: tuple[_Model, ...]
    weights: np.ndarray

    @property
    def learns(self) -> bool:
        """False with too few knockouts, or without features."""
        return bool(self.models)

    @property
    def explained(self) -> float:
        """Share of the variance between knockouts that likeness is believed to explain, 0 to 1."""
        if not self.learns:
            return 0.0
        h2 = np.array([model.h2 for model in self.models]) @ self.weights
        size = (self.scores**2).sum(axis=0)
        return float(h2 @ size / size.sum()) if size.sum() > 0 else 0.0

    def components(self, rows: np.ndarray) -> Predicted:
        """Of the components, for these candidates."""
        shape = (len(rows), self.scores.shape[1])
        mean, shared, own = np.zeros(shape), np.zeros(shape), np.zeros(shape[1])
        if not self.learns:
            variance = (self.scores**2).mean(axis=0) if len(self.scores) else np.ones(shape[1])
            return Predicted(mean, shared, variance)
        for weight, model in zip(self.weights, self.models, strict=True):
            toward, left = _posterior(model, rows, self.measured)
            mean += weight * (toward @ (model.vectors.T @ self.scores))
            shared += weight * model.scale * left[:, None]
            own += weight * model.scale * (1 - model.h2)
        return Predicted(mean, shared, own)

    def profiles(self, rows: np.ndarray, *, genes: np.ndarray | slice = slice(None)) -> Predicted:
        """Effects on the genes (all by default), for these candidates."""
        found, loadings = self.components(rows), self.loadings[:, genes]
        square = loadings**2
        return Predicted(
            found.mean @ loadings + self.centre[genes],
            found.shared @ square,
            found.own @ square + self.rest[genes],
        )

    def spread(self, rows: np.ndarray) -> np.ndarray:
        """Variance that is left of what likeness explains, summed over components, (n,)."""
        return self.components(rows).shared.sum(axis=1)

    def covariance(self, rows: np.ndarray) -> Joint:
        """Of what likeness explains, between these candidates, summed over components."""
        total, own = np.zeros((len(rows), len(rows))), 0.0
        for weight, model in zip(self.weights, self.models, strict=True):
            share = float(weight @ model.scale)
            if model.h2 and share > 0:
                toward = _toward(model, rows, self.measured)
                cross = toward / model.noisy
                total += share * (model.h2 * model.kernel.between(rows, rows) - cross @ toward.T)
            own += share * (1 - model.h2)
        return Joint(total, own)


class Joint(NamedTuple):
    """Covariance (n, n) of what is to be learned, and the variance with which each candidate shows it."""

    covariance: np.ndarray
    noise: float

    def after(self, row: int) -> Joint:
        """Once this candidate will have been measured; its result does not matter for that."""
        column = self.covariance[:, row]
        seen = self.covariance[row, row] + self.noise
        if seen <= 0:
            return self
        return Joint(self.covariance - np.outer(column, column) / seen, self.noise)

    def reduction(self) -> np.ndarray:
        """By how much measuring each candidate would lower the variance summed over all, (n,)."""
        seen = np.diag(self.covariance) + self.noise
        return (self.covariance**2).sum(axis=0) / np.maximum(seen, RIDGE)


def fit_surrogate(
    kernels: Sequence[Kernel], measured: np.ndarray, profiles: np.ndarray, *, components: int = COMPONENTS
) -> Surrogate:
    """Learn from profiles (m, G) of the candidates ``measured`` (m,).

    A single column, such as a value to be made large, is learned in the same way.
    """
    m, n_genes = profiles.shape
    centre = profiles.mean(axis=0) if m else np.zeros(n_genes)
    residual = profiles - centre
    if m < FEWEST or not kernels:
        # too few for components: each gene stands for itself in `rest`
        return Surrogate(measured, centre, np.zeros((0, n_genes)), np.zeros((m, 0)),
                         residual.var(axis=0) if m > 1 else np.ones(n_genes), (), np.zeros((0, 0)))  # fmt: skip
    scores, loadings = _low_rank(residual, min(m - 1, components, n_genes))
    rest = np.maximum(residual.var(axis=0) - (loadings**2).T @ scores.var(axis=0), 0.0)
    models, evidence = [], []
    for kernel in kernels:
        values, vectors = np.linalg.eigh(kernel.between(measured, measured))
        turned = (vectors.T @ scores) ** 2
        for h2 in H2:
            noisy = h2 * np.maximum(values, 0.0) + (1 - h2)
            scale = np.maximum((turned / noisy[:, None]).mean(axis=0), RIDGE**2)
            models.append(_Model(kernel, h2, vectors, noisy, scale))
            evidence.append(-0.5 * (m * np.log(scale) + np.log(noisy).sum()))
    weights = np.exp(np.array(evidence) - np.max(evidence, axis=0))
    return Surrogate(measured, centre, loadings, scores, rest, tuple(models), weights / weights.sum(axis=0))


def _low_rank(residual: np.ndarray, components: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (m, k) and orthonormal loadings (k, G), by the m × m matrix of products: G is much larger than
    m."""
    if residual.shape[1] <= len(residual):
        left, singular, right = np.linalg.svd(residual, full_matrices=False)
        return left[:, :components] * singular[:components], right[:components]
    values, vectors = np.linalg.eigh(residual @ residual.T)
    kept = np.argsort(-values)[:components]
    kept = kept[values[kept] > RIDGE * max(values.max(), RIDGE)]
    if not len(kept):
        return np.zeros((len(residual), 1)), np.zeros((1, residual.shape[1]))
    singular = np.sqrt(values[kept])
    return vectors[:, kept] * singular, (residual.T @ (vectors[:, kept] / singular)).T


def _toward(model: _Model, rows: np.ndarray, measured: np.ndarray) -> np.ndarray:
    """h²·K(rows, measured)·U, shape (n, m)."""
    return model.h2 * model.kernel.between(rows, measured) @ model.vectors


def _posterior(model: _Model, rows: np.ndarray, measured: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the turned scores are multiplied by, (n, m), and the share of variance that stays, (n,)."""
    if not model.h2:
        return np.zeros((len(rows), len(measured))), np.zeros(len(rows))
    toward = _toward(model, rows, measured)
    weighed = toward / model.noisy
    left = model.h2 * model.kernel.own(rows) - (weighed * toward).sum(axis=1)
    return weighed, np.maximum(left, 0.0)
