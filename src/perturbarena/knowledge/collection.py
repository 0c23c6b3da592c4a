"""A collection of gene sets as it stands: which sets a gene is in, and what two genes have in common.

The decomposition of :mod:`perturbarena.knowledge.gene_sets` mixes all collections into few numbers. Single
collections say different things (where a protein sits, which cell types a gene marks, which signatures it is part
of), and a pair of genes can be asked what it shares, by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from scipy import sparse

from perturbarena.errors import FormatError
from perturbarena.knowledge.features import GeneFeatures
from perturbarena.knowledge.readers import read_sets

SUFFIXES: Final = (".gz", ".gmt", ".mm", ".hs")
"""Cut from a file's name to name its collection: ``m5.go.cc.mm.gmt.gz`` is ``m5.go.cc``."""


@dataclass(frozen=True, slots=True)
class GeneSetCollection:
    """One file of gene sets.

    Attributes
    ----------
    name
        Such as ``mh.hallmark``.
    genes
        Genes that are in any set, shape (g,), each once.
    set_names
        Shape (s,).
    membership
        0/1, shape (g, s).
    source
        Where it comes from, in words for a report.
    """

    name: str
    genes: np.ndarray
    set_names: np.ndarray
    membership: sparse.csr_matrix
    source: str
    row: dict[str, int] = field(init=False, repr=False, compare=False)
    sizes: np.ndarray = field(init=False, repr=False, compare=False)
    """Genes in each set, shape (s,)."""
    idf: np.ndarray = field(init=False, repr=False, compare=False)
    """log(genes / size of the set), shape (s,): a small shared set says more than a large one."""
    unit: sparse.csr_matrix = field(init=False, repr=False, compare=False)
    """Membership with columns times √idf and rows of length 1, so that products are cosines, shape (g, s)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", {gene: i for i, gene in enumerate(self.genes)})
        object.__setattr__(self, "sizes", np.asarray(self.membership.sum(axis=0)).ravel())
        object.__setattr__(self, "idf", np.log(len(self.genes) / self.sizes))
        weighted = sparse.csr_matrix(self.membership @ sparse.diags(np.sqrt(self.idf)))
        length = np.sqrt(np.asarray(weighted.power(2).sum(axis=1)).ravel())
        unit = sparse.csr_matrix(sparse.diags(1 / np.maximum(length, 1e-12)) @ weighted)
        object.__setattr__(self, "unit", unit)

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def n_columns(self) -> int:
        """Number of sets."""
        return len(self.set_names)

    def positions(self, names: Iterable[str]) -> np.ndarray:
        """The row of each name, −1 where the gene is in no set, int64."""
        return np.fromiter((self.row.get(name, -1) for name in names), np.int64)

    def coverage(self, names: Iterable[str]) -> float:
        """Share of these different names that are in a set; NaN for no names."""
        distinct = sorted(set(names))
        return float(np.mean(self.positions(distinct) >= 0)) if distinct else float("nan")

    def pair_values(self, pert: np.ndarray, gene: np.ndarray) -> np.ndarray:
        """What two genes share: the idf-weighted cosine of their sets, and log(1 + Σ 100/size), shape (n, 2).

        NaN where either gene is in no set at all: nothing is known, which is not the same as nothing shared.
        """
        at_pert, at_gene = self.positions(pert), self.positions(gene)
        known = np.flatnonzero((at_pert >= 0) & (at_gene >= 0))
        values = np.full((len(pert), 2), np.nan)
        shared = self.membership[at_pert[known]].multiply(self.membership[at_gene[known]])
        cosine = self.unit[at_pert[known]].multiply(self.unit[at_gene[known]]).sum(axis=1)
        values[known, 0] = np.asarray(cosine).ravel()
        values[known, 1] = np.log1p(np.asarray(shared @ (100 / self.sizes)).ravel())
        return values

    def shared(self, pert: str, gene: str) -> list[tuple[str, int]]:
        """Sets that hold both genes, as (name, size), the smallest first."""
        at = self.positions([pert, gene])
        if (at < 0).any():
            return []
        both = self.membership[at[0]].multiply(self.membership[at[1]]).tocsr().indices
        named = ((str(self.set_names[j]), int(self.sizes[j])) for j in both)
        return sorted(named, key=lambda found: (found[1], found[0]))


def read_collection(path: Path | str) -> GeneSetCollection:
    """A GMT file (``.gz`` too): a set a line, its name, a description, its genes, separated by tabs.

    Raises
    ------
    FormatError
        If the file cannot be read, a line has no gene, or there are fewer than 2 genes.
    """
    path = Path(path)
    sets = read_gmt(path)
    row: dict[str, int] = {}
    members = [row.setdefault(gene, len(row)) for _, genes in sets for gene in genes]
    if len(row) < 2:
        raise FormatError(f"{path}: gene sets need at least 2 genes; got {len(row)}")
    columns = np.repeat(np.arange(len(sets)), [len(genes) for _, genes in sets])
    membership = sparse.csr_matrix((np.ones(len(members)), (members, columns)), shape=(len(row), len(sets)))
    names = np.array([name for name, _ in sets], object)
    stem = path
    while stem.suffix in SUFFIXES:
        stem = stem.with_suffix("")
    return GeneSetCollection(stem.name, np.array(list(row), object), names, membership, str(path))


def read_gmt(path: Path) -> list[tuple[str, list[str]]]:
    """(name, sorted genes) of each set of a GMT file; FormatError where a line has no gene or the file no set."""
    return [(found.name, list(found.genes)) for found in read_sets(path)]


def annotation_features(collections: Sequence[GeneSetCollection]) -> GeneFeatures:
    """log(1 + number of sets that a gene is in), a column a collection: how much is known of a gene, and of what.

    A gene that moves in many screens stands in many published signatures. Genes in no set at all are absent.
    """
    genes = np.array(sorted({gene for collection in collections for gene in collection.genes}), object)
    matrix = np.zeros((len(genes), len(collections)))
    for j, collection in enumerate(collections):
        at = collection.positions(genes)
        counts = np.append(np.asarray(collection.membership.sum(axis=1)).ravel(), 0.0)
        matrix[:, j] = np.log1p(counts[at])
    return GeneFeatures("annotations", genes, matrix, f"{len(collections)} collections of gene sets")
