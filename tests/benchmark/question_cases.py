"""Question sets for audits: biregular ones, which have no structure at all."""

from __future__ import annotations

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Questions


def biregular(
    rng: np.random.Generator, *, n_perts: int = 60, n_genes: int = 150, each: int = 25, mark: str = ""
) -> Questions:
    """``each`` rows a perturbation and n_perts·each/n_genes rows a gene, no pair twice, in random order."""
    assert n_perts * each % n_genes == 0
    pert = np.repeat(np.arange(n_perts), each)
    gene = np.arange(n_perts * each) % n_genes
    asked = set(zip(pert.tolist(), gene.tolist(), strict=True))
    for i, j in rng.integers(len(pert), size=(5 * len(pert), 2)):
        old = {(pert[i], gene[i]), (pert[j], gene[j])}
        new = {(pert[i], gene[j]), (pert[j], gene[i])}
        if len(old) == len(new) == 2 and not new & asked:  # swapping two targets keeps every count
            asked -= old
            asked |= new
            gene[i], gene[j] = gene[j], gene[i]
    order = rng.permutation(len(pert))
    return Questions.from_pairs([f"p{mark}{p}" for p in pert[order]], [f"g{mark}{g}" for g in gene[order]])


def coin(rng: np.random.Generator, questions: Questions, p: np.ndarray | float = 0.5) -> LabelledQuestions:
    """Labels by chance: moved with probability ``p``, up and down alike."""
    moved = rng.random(len(questions)) < p
    up = rng.random(len(questions)) < 0.5
    return LabelledQuestions(questions, np.where(moved, np.where(up, "up", "down"), "none").astype(object))
