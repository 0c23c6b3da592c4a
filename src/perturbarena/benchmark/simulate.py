"""A small simulated question set whose effects depend on gene modules.

It exists so that every part of the system can be tried without data: knockouts act on genes through a hidden
module-to-module wiring, gene features show the modules through noise, and questions are drawn at random over
pairs, so that how often a gene or a perturbation is asked says nothing about its labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.challenge.records import DOWN, NONE, UP, LabelledQuestions, Questions
from perturbarena.errors import InputError

GENE_SHARE: Final = 0.5
"""Share of an effect's variance that belongs to the gene whatever is knocked out (a responsive gene)."""
PAIR_NOISE: Final = 0.7
"""Standard deviation of the part of an effect that no feature explains, relative to the explained part."""


@dataclass(frozen=True, slots=True)
class SimulatedQuestions:
    """Labelled questions, and the features of every gene and every knocked-out gene.

    ``feature_genes`` has shape (g,), ``features`` (g, k) float64, ``effect`` (n,): the true effect, in units of
    its standard deviation, whose sign and size made the labels.
    """

    questions: LabelledQuestions
    feature_genes: np.ndarray
    features: np.ndarray
    effect: np.ndarray


def simulate_questions(
    rng: np.random.Generator,
    *,
    n_perts: int = 120,
    n_genes: int = 400,
    n_questions: int = 3000,
    n_modules: int = 6,
    n_features: int = 24,
    none_share: float = 0.55,
) -> SimulatedQuestions:
    """Draw a question set from a module network.

    Gene g has module loadings m_g; knocking out p shifts y by
    ``e = √(1 − a)·m_p' R m_y + √a·b' m_y + noise``, with R the hidden wiring, b the modules' common response and
    a = ``GENE_SHARE``.

    The ``none_share`` of pairs with the smallest |e| are labelled ``none``, the others by sign.

    Raises
    ------
    InputError
        If more questions are wanted than there are pairs, or a share is outside (0, 1).
    """
    if n_questions > n_perts * n_genes:
        raise InputError(
            f"at most {n_perts * n_genes} questions fit {n_perts} × {n_genes} pairs; got {n_questions}"
        )
    if not 0 < none_share < 1:
        raise InputError(f"none_share must lie between 0 and 1; got {none_share}")
    loadings = _module_loadings(rng, n_perts + n_genes, n_modules)
    names = np.array([f"Gene{i:04d}" for i in range(n_perts + n_genes)], object)
    pairs = rng.choice(n_perts * n_genes, size=n_questions, replace=False)
    pert, gene = pairs // n_genes, n_perts + pairs % n_genes

    effect = _effects(rng, loadings[pert], loadings[gene])
    threshold = np.quantile(np.abs(effect), none_share)
    label = np.where(np.abs(effect) <= threshold, NONE, np.where(effect > 0, UP, DOWN)).astype(object)
    questions = LabelledQuestions(Questions.from_pairs(names[pert], names[gene]), label)

    mixing = rng.normal(size=(n_modules, n_features)) / np.sqrt(n_modules)
    features = loadings @ mixing + 0.3 * rng.normal(size=(len(names), n_features))
    return SimulatedQuestions(questions, names, features, effect)


def _module_loadings(rng: np.random.Generator, n: int, n_modules: int) -> np.ndarray:
    """Each gene belongs mostly to one module and a little to the others."""
    home = rng.integers(n_modules, size=n)
    return np.eye(n_modules)[home] * 2.0 + 0.3 * rng.normal(size=(n, n_modules))


def _effects(rng: np.random.Generator, pert: np.ndarray, gene: np.ndarray) -> np.ndarray:
    n_modules = gene.shape[1]
    wired = np.einsum("nk,kl,nl->n", pert, rng.normal(size=(n_modules, n_modules)), gene)
    common = gene @ rng.normal(size=n_modules)
    explained = np.sqrt(1 - GENE_SHARE) * _standard(wired) + np.sqrt(GENE_SHARE) * _standard(common)
    effect = _standard(explained) + PAIR_NOISE * rng.normal(size=len(explained))
    return _standard(effect)


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / values.std()
