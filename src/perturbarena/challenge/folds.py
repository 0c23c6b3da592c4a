"""Doubly disjoint folds: no perturbation and no target gene is shared between training and test rows.

Perturbations are dealt into ``n_folds`` groups and genes, independently, into ``n_folds`` groups. A row belongs
to one block (perturbation fold i, gene fold j). The rows of block (i, j) are answered by a model trained on the
rows whose perturbation is not in i *and* whose gene is not in j; rows sharing only one of the two are left out of
that fit. Over all n_folds² blocks every row is answered exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from perturbarena.errors import FoldLeakError, InputError


class Block(NamedTuple):
    """One fit and what it answers. Both arrays hold row positions."""

    pert_fold: int
    gene_fold: int
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, slots=True)
class Folds:
    """The fold of each row's perturbation and of each row's gene, shape (n,), int, in 0 … n_folds − 1."""

    n_folds: int
    pert_fold: np.ndarray
    gene_fold: np.ndarray

    @classmethod
    def deal(cls, pert: np.ndarray, gene: np.ndarray, *, n_folds: int, rng: np.random.Generator) -> Folds:
        """Deal perturbations and genes at random into folds of nearly equal numbers.

        Parameters
        ----------
        pert, gene
            The rows' perturbation and target gene, shape (n,).
        n_folds
            Number of groups on each axis, at least 2.
        rng
            Source of randomness; the same state gives the same folds, whatever the order of the rows.

        Raises
        ------
        InputError
            If there are fewer perturbations or fewer genes than folds.
        """
        if n_folds < 2:
            raise InputError(f"folds must be at least 2; got {n_folds}")
        perts = _deal(pert, n_folds, rng, "perturbations")
        genes = _deal(gene, n_folds, rng, "genes")
        return cls.from_assignment(pert, gene, pert_folds=perts, gene_folds=genes)

    @classmethod
    def from_assignment(
        cls,
        pert: np.ndarray,
        gene: np.ndarray,
        *,
        pert_folds: Mapping[str, int] | Sequence[tuple[str, int]],
        gene_folds: Mapping[str, int] | Sequence[tuple[str, int]],
    ) -> Folds:
        """Folds given name by name, as (name, fold) pairs or a mapping.

        Raises
        ------
        FoldLeakError
            If a perturbation or a gene is given two different folds.
        InputError
            If a row's perturbation or gene is given none, a fold is negative, or the columns differ in length.
        """
        if len(pert) != len(gene):
            raise InputError(f"each row needs a perturbation and a gene; got {len(pert)} and {len(gene)}")
        perts = _one_fold_each(pert_folds, "perturbation")
        genes = _one_fold_each(gene_folds, "gene")
        rows_pert = _look_up(pert, perts, "perturbation")
        rows_gene = _look_up(gene, genes, "gene")
        n_folds = int(max(rows_pert.max(initial=0), rows_gene.max(initial=0))) + 1
        return cls(n_folds, rows_pert, rows_gene)

    def __len__(self) -> int:
        return len(self.pert_fold)

    def blocks(self) -> Iterator[Block]:
        """The non-empty blocks, perturbation fold by perturbation fold."""
        for i in range(self.n_folds):
            for j in range(self.n_folds):
                in_pert, in_gene = self.pert_fold == i, self.gene_fold == j
                test = np.flatnonzero(in_pert & in_gene)
                if len(test):
                    yield Block(i, j, np.flatnonzero(~in_pert & ~in_gene), test)

    def check(self, pert: np.ndarray, gene: np.ndarray) -> None:
        """Raise FoldLeakError unless each perturbation and each gene of these rows stands in one fold."""
        _one_fold_each(list(zip(pert, self.pert_fold.tolist(), strict=True)), "perturbation")
        _one_fold_each(list(zip(gene, self.gene_fold.tolist(), strict=True)), "gene")


def check_disjoint(
    train_pert: np.ndarray, train_gene: np.ndarray, test_pert: np.ndarray, test_gene: np.ndarray
) -> None:
    """Raise FoldLeakError if training and test rows share a perturbation or a target gene."""
    for axis, a, b in (("perturbation", train_pert, test_pert), ("gene", train_gene, test_gene)):
        shared = sorted(set(a) & set(b))
        if shared:
            raise FoldLeakError(
                f"training and test rows must share no {axis}; {len(shared)} are in both, e.g. {shared[0]}"
            )


def _deal(names: np.ndarray, n_folds: int, rng: np.random.Generator, what: str) -> dict[str, int]:
    unique = sorted(set(names))
    if len(unique) < n_folds:
        raise InputError(f"{n_folds} folds need at least {n_folds} {what}; got {len(unique)}")
    order = rng.permutation(len(unique))
    return {unique[k]: position % n_folds for position, k in enumerate(order)}


def _one_fold_each(folds: Mapping[str, int] | Sequence[tuple[str, int]], what: str) -> dict[str, int]:
    pairs = folds.items() if isinstance(folds, Mapping) else folds
    seen: dict[str, int] = {}
    for name, fold in pairs:
        if seen.setdefault(name, fold) != fold:
            raise FoldLeakError(f"{what} {name} stands in folds {seen[name]} and {fold}; it must stand in one")
        if fold < 0:
            raise InputError(f"a fold is 0 or more; {what} {name} has {fold}")
    return seen


def _look_up(names: np.ndarray, folds: dict[str, int], what: str) -> np.ndarray:
    missing = sorted({name for name in names if name not in folds})
    if missing:
        raise InputError(f"every {what} needs a fold; {len(missing)} have none, e.g. {missing[0]}")
    return np.fromiter((folds[name] for name in names), np.int64, count=len(names))
