"""A simulated question set whose answers follow a rule that can be read off the names.

Genes of one family act alike, and a gene's name says its family, as real names do: the root tells the family, the
number the member (``Wnt5``). What family F of the knocked-out gene does to family G of the target is fixed by
a hidden table. Names are used once, on one side only, so that perturbations and genes that were never seen can be
answered by whoever has learned the table: a learner that reads names must reach a score of 1, one that learns
names by heart stays at chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.challenge.records import DOWN, NONE, UP, LabelledQuestions, Questions
from perturbarena.errors import InputError

ROOTS: Final = (
    "Wnt", "Ifi", "Rab", "Cxcl", "Slc", "Fox", "Gata", "Hdac", "Kif", "Map", "Ndu", "Psm", "Rps", "Sox", "Tnf",
    "Zfp",
)  # fmt: skip
"""Roots of names; families take them in turn, those of targets after those of knocked-out genes."""


@dataclass(frozen=True, slots=True)
class FamilyQuestions:
    """Labelled questions and the rule behind them.

    ``table`` has shape (families, families), str: the label for each family of knocked-out genes (rows) and of
    targets (columns).
    """

    questions: LabelledQuestions
    table: np.ndarray


def simulate_families(
    rng: np.random.Generator,
    *,
    n_perts: int = 60,
    n_genes: int = 120,
    n_questions: int = 3000,
    n_families: int = 5,
    wrong: float = 0.0,
) -> FamilyQuestions:
    """Draw a question set; a third of the table is ``up``, a third ``down``, the rest ``none``.

    Parameters
    ----------
    wrong
        Chance that a label is replaced by one drawn at random.

    Raises
    ------
    InputError
        If more questions are wanted than there are pairs, or more families than roots.
    """
    if n_questions > n_perts * n_genes:
        raise InputError(f"at most {n_perts * n_genes} questions fit {n_perts} × {n_genes}; got {n_questions}")
    if not 2 <= n_families <= len(ROOTS) // 2:
        raise InputError(f"families must be 2 to {len(ROOTS) // 2}; got {n_families}")
    labels = np.array([UP, DOWN, NONE], object)
    cells = n_families * n_families
    table = labels[rng.permutation(np.arange(cells) % 3)].reshape(n_families, n_families)
    pairs = rng.choice(n_perts * n_genes, size=n_questions, replace=False)
    pert, gene = pairs // n_genes, pairs % n_genes
    label = table[pert % n_families, gene % n_families].copy()
    noisy = rng.random(n_questions) < wrong
    label[noisy] = labels[rng.integers(3, size=int(noisy.sum()))]
    perts = _names(n_perts, ROOTS[:n_families], rng)
    genes = _names(n_genes, ROOTS[n_families : 2 * n_families], rng)
    return FamilyQuestions(LabelledQuestions(Questions.from_pairs(perts[pert], genes[gene]), label), table)


def _names(n: int, roots: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Member i belongs to family i modulo the number of families; numbers say nothing."""
    number = rng.permutation(n) + 1
    return np.array([f"{roots[i % len(roots)]}{number[i]}" for i in range(n)], object)
