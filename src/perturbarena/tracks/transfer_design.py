"""Names of genes and perturbations → the rows that the transfer predictor's models see.

Each block is centred, scaled and turned to its principal components over the genes and perturbations of the
training rows, each name counting once, so that a block weighs the same however many columns it has. A name that a
block lacks gets the block's average (zeros after centring): nothing is concluded from its absence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from perturbarena.challenge.records import Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import PAIR_BLOCKS, Block, GeneFeatures, GeneSetCollection
from perturbarena.knowledge.decomposition import truncated_svd
from perturbarena.tracks.transfer_pairs import PairColumns
from perturbarena.tracks.transfer_weights import Roles, roles_of

DECOMPOSED: Final = frozenset({"coexpression", "gene_sets", "ko_elsewhere", "response_elsewhere"})
"""Blocks out of a decomposition, where a column's size is meant; those of others are brought to one variance."""
PAIR_WEIGHT: Final = 0.05
PAIR_WEIGHT_DIRECTION: Final = 0.03
"""Of a pair's standardised columns, beside blocks of mean squared length 1."""


@dataclass(frozen=True, slots=True)
class Rows:
    """n question rows.

    Attributes
    ----------
    linear, kernel
        For the two models of the direction, (n, d) and (n, e).
    alone
        The target gene, for whether it moves at all, (n, a).
    pair
        Perturbation, its products with the gene, and what the two share, for which perturbation moves it, (n, b).
    has_gene, has_pert
        What the row rests on, (n,) bool.
    """

    linear: np.ndarray
    kernel: np.ndarray
    alone: np.ndarray
    pair: np.ndarray
    has_gene: np.ndarray
    has_pert: np.ndarray

    def take(self, index: np.ndarray) -> Rows:
        """The rows at ``index``."""
        return Rows(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True, slots=True)
class _Block:
    position: Mapping[str, int]
    matrix: np.ndarray
    """(g + 1, k), leading principal components; the last row, zeros, stands for a missing gene."""
    roles: Roles

    def look_up(self, names: np.ndarray) -> np.ndarray:
        return np.fromiter((self.position.get(name, -1) for name in names), np.int64, count=len(names))


@dataclass(frozen=True, slots=True)
class Design:
    """How names become rows; learned from training questions without their labels."""

    blocks: tuple[_Block, ...]
    pairs: PairColumns

    @classmethod
    def learn(cls, train: Questions, features: Sequence[Block], *, pair_columns: bool = True) -> Design:
        """Centre, scale and turn every block over the training rows' genes and perturbations, each counted once.

        Without ``pair_columns`` nothing of what a perturbation and a gene share is used.

        Raises
        ------
        InputError
            If there are no blocks, or the training rows' names have no features that differ.
        """
        if not features:
            raise InputError("the predictor needs at least one block of gene features; got none")
        names = np.array(sorted(set(train.gene) | set(train.pert)), object)
        turned = (_turned(block, names, roles) for block, roles in zip(features, roles_of(features), strict=True))
        blocks = tuple(block for block in turned if block is not None)
        if not blocks:
            raise InputError(_why_nothing_varies(names, features))
        return cls(blocks, PairColumns.learn(train, features if pair_columns else []))

    def rows(self, pert: np.ndarray, gene: np.ndarray) -> Rows:
        """Rows for these pairs, shape (n,) each."""
        sides = {"gene": gene, "pert": pert}
        at = {side: [block.look_up(names) for block in self.blocks] for side, names in sides.items()}
        part = {name: self._part(name, at[name.split("_")[0]]) for name in Roles._fields}
        has = {
            side: np.any([at[side][i] >= 0 for i, b in enumerate(self.blocks) if b.roles.describes(side)], axis=0)
            for side in sides
        }
        shared = self.pairs.values(pert, gene)
        products = (part["gene_pair"][:, :, None] * part["pert_pair"][:, None, :]).reshape(len(gene), -1)
        return Rows(
            linear=np.hstack([part["gene"], part["pert"], PAIR_WEIGHT_DIRECTION * shared]),
            kernel=np.hstack([part["gene_kernel"], part["pert_kernel"]]),
            alone=part["gene_alone"],
            pair=np.hstack([0.5 * part["pert_pair"], products, PAIR_WEIGHT * shared]),
            has_gene=np.broadcast_to(has["gene"], len(gene)),
            has_pert=np.broadcast_to(has["pert"], len(gene)),
        )

    def described(self, names: np.ndarray, side: str) -> np.ndarray:
        """Weighted features of genes (``side`` "gene") or perturbations ("pert"), as the direction sees them."""
        return self._part(side, [block.look_up(names) for block in self.blocks])

    def _part(self, name: str, at: Sequence[np.ndarray]) -> np.ndarray:
        columns = [np.empty((len(at[0]), 0))]
        for block, rows in zip(self.blocks, at, strict=True):
            role = getattr(block.roles, name)
            if role.weight:
                columns.append(role.weight * block.matrix[rows, : role.columns])
        return np.hstack(columns)


def _why_nothing_varies(names: np.ndarray, features: Sequence[Block]) -> str:
    tables = [block for block in features if isinstance(block, GeneFeatures)]
    known = sorted({name for block in tables for name in names[block.positions(names) >= 0]})
    if known:
        return (
            f"the training rows' genes need features that differ; {len(known)} of {len(names)} genes and "
            f"perturbations have features, all the same (e.g. {known[0]})"
        )
    listed = next((block.genes[0] for block in tables if len(block)), "nothing")
    return (
        f"none of the {len(names)} genes and perturbations of the training rows has features; "
        f"the rows name {names[0]}, the features {listed}: are they of one species?"
    )


def _turned(block: Block, names: np.ndarray, roles: Roles) -> _Block | None:
    """The block's components, of mean squared row length 1 over ``names``; None where nothing varies or counts."""
    if isinstance(block, PAIR_BLOCKS) or not roles.columns():
        return None
    if isinstance(block, GeneSetCollection):
        return _turned_sets(block, names, roles)
    at = block.positions(names)
    known = block.matrix[at[at >= 0]]
    if not len(known):
        return None
    matrix = block.matrix - known.mean(axis=0)
    if block.name not in DECOMPOSED:
        spread = known.std(axis=0)
        matrix = np.divide(matrix, spread, where=spread > 0, out=np.zeros_like(matrix))
    known = matrix[at[at >= 0]]
    length = np.sqrt((known**2).sum(axis=1).mean())
    if not length > 0:
        return None
    axes = np.linalg.eigh(known.T @ known)[1][:, ::-1]
    return _padded(block.genes, matrix @ axes / length, roles)


def _turned_sets(block: GeneSetCollection, names: np.ndarray, roles: Roles) -> _Block | None:
    at = block.positions(names)
    known = sparse.csr_matrix(block.unit[at[at >= 0]])
    smaller = min(known.get_shape())
    if smaller < 2:
        return None
    mean = np.asarray(known.mean(axis=0)).ravel()
    squared = 1 - float(mean @ mean)
    if not squared > 0:
        return None
    found = truncated_svd(_Centred(known, mean), n_dimensions=min(roles.columns(), smaller - 1))
    axes = found.right.T / np.sqrt(squared)
    return _padded(block.genes, np.asarray(block.unit @ axes) - mean @ axes, roles)


def _padded(genes: np.ndarray, matrix: np.ndarray, roles: Roles) -> _Block:
    padded = np.vstack([matrix, np.zeros(matrix.shape[1])])
    return _Block({gene: i for i, gene in enumerate(genes)}, padded, roles)


class _Centred(LinearOperator):
    """X − 1·mean as what it does to vectors; the matrix itself would be dense."""

    def __init__(self, matrix: sparse.csr_matrix, mean: np.ndarray) -> None:
        super().__init__(np.dtype(np.float64), matrix.shape)
        self.sparse, self.mean = matrix, mean

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        return self.sparse @ x.ravel() - self.mean @ x.ravel()

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self.sparse.T @ x.ravel() - self.mean * x.sum()
