"""What a perturbation and a gene have to do with each other: shared sets, likeness, effects seen elsewhere.

Columns are standardised over the training rows; what is not known of a pair becomes the average there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from perturbarena.challenge.records import Questions
from perturbarena.knowledge import PAIR_BLOCKS, Block, GeneFeatures, GeneSetCollection, PairTable, PathTable

ALIKE: Final = frozenset({"expression", "coexpression", "gene_sets"})
"""Tables in which two genes can be compared."""


@dataclass(frozen=True, slots=True)
class PairColumns:
    """The columns of a pair, with mean and standard deviation over the training rows, shape (c,)."""

    sources: tuple[Source, ...]
    mean: np.ndarray
    spread: np.ndarray

    @classmethod
    def learn(cls, train: Questions, features: Sequence[Block]) -> PairColumns:
        """Collect what the blocks say of pairs, and its scale over the training rows."""
        names = np.array(sorted(set(train.gene) | set(train.pert)), object)
        found: list[Source] = []
        for block in features:
            if isinstance(block, (GeneSetCollection, *PAIR_BLOCKS)):
                found.append(block)
            elif block.name in ALIKE:
                found.append(_Likeness.learn(block, names))
        values = _raw(tuple(found), train.pert, train.gene)
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, values, 0.0)
        mean = filled.sum(axis=0) / count
        variance = (np.where(known, values - mean, 0.0) ** 2).sum(axis=0) / count
        return cls(tuple(found), mean, np.sqrt(variance))

    def values(self, pert: np.ndarray, gene: np.ndarray) -> np.ndarray:
        """Standardised columns, zeros where nothing is known, shape (n, c)."""
        centred = np.nan_to_num(_raw(self.sources, pert, gene) - self.mean, nan=0.0)
        return np.divide(centred, self.spread, where=self.spread > 0, out=np.zeros_like(centred))


@dataclass(frozen=True, slots=True)
class _Likeness:
    """Cosine of two genes' features, signed and absolute, after centring over the training names' and each gene's
    own mean where columns are cell types (a gene that is on everywhere is not like another for that)."""

    block: GeneFeatures
    unit: np.ndarray

    @classmethod
    def learn(cls, block: GeneFeatures, names: np.ndarray) -> _Likeness:
        matrix = block.matrix
        if block.name == "expression":
            at = block.positions(names)
            known = matrix[at[at >= 0]] if (at >= 0).any() else matrix
            spread = known.std(axis=0)
            matrix = (matrix - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
            matrix = matrix - matrix.mean(axis=1, keepdims=True)
        length = np.sqrt((matrix**2).sum(axis=1, keepdims=True))
        return cls(block, matrix / np.where(length > 0, length, 1.0))

    def pair_values(self, pert: np.ndarray, gene: np.ndarray) -> np.ndarray:
        at_pert, at_gene = self.block.positions(pert), self.block.positions(gene)
        cosine = (self.unit[at_pert] * self.unit[at_gene]).sum(axis=1)
        cosine[(at_pert < 0) | (at_gene < 0)] = np.nan
        return np.column_stack([cosine, np.abs(cosine)])


Source: TypeAlias = _Likeness | GeneSetCollection | PairTable | PathTable
"""What columns of a pair come from."""


def _raw(sources: tuple[Source, ...], pert: np.ndarray, gene: np.ndarray) -> np.ndarray:
    return np.hstack([np.empty((len(pert), 0)), *(source.pair_values(pert, gene) for source in sources)])
