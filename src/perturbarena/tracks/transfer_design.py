"""Names of genes and perturbations → the rows that the transfer predictor's models see.

Each block is centred and scaled over the genes and perturbations of the training rows, each name counting once,
so that a block weighs the same however many columns it has. A name that a block lacks gets the block's average
(zeros after centring): nothing is concluded from its absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from perturbarena.challenge.records import Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import GeneFeatures


class Weights(NamedTuple):
    """How much a block counts: of the target gene and of the perturbation, in the linear and the kernel model."""

    gene: float
    pert: float
    gene_kernel: float
    pert_kernel: float


WEIGHTS: Final[Mapping[str, Weights]] = {
    "expression": Weights(gene=0.5, pert=0.5, gene_kernel=1.0, pert_kernel=0.5),
    "coexpression": Weights(gene=1.0, pert=0.0, gene_kernel=1.0, pert_kernel=0.0),
    "gene_sets": Weights(gene=0.0, pert=0.3, gene_kernel=0.0, pert_kernel=0.3),
}
"""Chosen with fold seeds 100–102 of the published training questions, see docs/transfer.md."""
ANY_BLOCK: Final = Weights(gene=1.0, pert=1.0, gene_kernel=1.0, pert_kernel=1.0)
"""For blocks nobody has tried, and for gene sets where nothing else describes the target gene."""
DECOMPOSED: Final = frozenset({"coexpression", "gene_sets"})
"""Blocks out of a decomposition, where a column's size is meant; those of others are brought to one variance."""


@dataclass(frozen=True, slots=True)
class Rows:
    """n question rows: for the linear model (n, d), the kernel model (n, e), and what they rest on (n,) bool."""

    linear: np.ndarray
    kernel: np.ndarray
    has_gene: np.ndarray
    has_pert: np.ndarray

    def take(self, index: np.ndarray) -> Rows:
        """The rows at ``index``."""
        return Rows(self.linear[index], self.kernel[index], self.has_gene[index], self.has_pert[index])


@dataclass(frozen=True, slots=True)
class _Block:
    position: Mapping[str, int]
    matrix: np.ndarray
    """(g + 1, k), centred and scaled; the last row, zeros, stands for a missing gene."""
    weights: Weights

    def look_up(self, names: np.ndarray) -> np.ndarray:
        return np.fromiter((self.position.get(name, -1) for name in names), np.int64, count=len(names))


@dataclass(frozen=True, slots=True)
class Design:
    """How names become rows; learned from training questions without their labels."""

    blocks: tuple[_Block, ...]

    @classmethod
    def learn(cls, train: Questions, features: Sequence[GeneFeatures]) -> Design:
        """Centre and scale every block over the training rows' genes and perturbations, each counted once.

        Raises
        ------
        InputError
            If there are no blocks, or the training rows' names have no features that differ.
        """
        if not features:
            raise InputError("the predictor needs at least one block of gene features; got none")
        names = np.array(sorted(set(train.gene) | set(train.pert)), object)
        weights = _weights([block.name for block in features])
        scaled = (_scaled(block, names, w) for block, w in zip(features, weights, strict=True))
        blocks = tuple(block for block in scaled if block is not None)
        if not blocks:
            raise InputError(_why_nothing_varies(names, features))
        return cls(blocks)

    def rows(self, pert: np.ndarray, gene: np.ndarray) -> Rows:
        """Rows for these pairs, shape (n,) each."""
        linear, kernel = [np.empty((len(gene), 0))], [np.empty((len(gene), 0))]
        has = {"gene": np.zeros(len(gene), bool), "pert": np.zeros(len(pert), bool)}
        for side, names in (("gene", gene), ("pert", pert)):
            for block in self.blocks:
                weight: float = getattr(block.weights, side)
                kernel_weight: float = getattr(block.weights, f"{side}_kernel")
                if weight or kernel_weight:
                    at = block.look_up(names)
                    has[side] |= at >= 0
                    linear.append(weight * block.matrix[at])
                    kernel.append(kernel_weight * block.matrix[at])
        return Rows(np.hstack(linear), np.hstack(kernel), has["gene"], has["pert"])


def _weights(names: Sequence[str]) -> list[Weights]:
    """Each block's weights; a block that would leave the gene or the knockout undescribed by any counts for it."""
    weights = [WEIGHTS.get(name, ANY_BLOCK) for name in names]
    gene_described, pert_described = any(w.gene for w in weights), any(w.pert for w in weights)
    if not gene_described:
        weights = [w._replace(gene=ANY_BLOCK.gene, gene_kernel=ANY_BLOCK.gene_kernel) for w in weights]
    if not pert_described:
        weights = [w._replace(pert=0.3 * ANY_BLOCK.pert, pert_kernel=0.3 * ANY_BLOCK.pert_kernel) for w in weights]
    return weights


def _why_nothing_varies(names: np.ndarray, features: Sequence[GeneFeatures]) -> str:
    known = sorted({name for block in features for name in names[block.positions(names) >= 0]})
    if known:
        return (
            f"the training rows' genes need features that differ; {len(known)} of {len(names)} genes and "
            f"perturbations have features, all the same (e.g. {known[0]})"
        )
    listed = next((block.genes[0] for block in features if len(block)), "nothing")
    return (
        f"none of the {len(names)} genes and perturbations of the training rows has features; "
        f"the rows name {names[0]}, the features {listed}: are they of one species?"
    )


def _scaled(block: GeneFeatures, names: np.ndarray, weights: Weights) -> _Block | None:
    """The block with mean 0 and mean squared row length 1 over ``names``; None where nothing varies."""
    at = block.positions(names)
    known = block.matrix[at[at >= 0]]
    if not len(known):
        return None
    matrix = block.matrix - known.mean(axis=0)
    if block.name not in DECOMPOSED:
        spread = known.std(axis=0)
        matrix = np.divide(matrix, spread, where=spread > 0, out=np.zeros_like(matrix))
    length = np.sqrt((matrix[at[at >= 0]] ** 2).sum(axis=1).mean())
    if not length > 0:
        return None
    padded = np.vstack([matrix / length, np.zeros(matrix.shape[1])])
    return _Block({gene: i for i, gene in enumerate(block.genes)}, padded, weights)
