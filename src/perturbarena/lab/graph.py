"""Links between genes, as far as they tell how near a candidate stands to the genes that matter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sp

from perturbarena.challenge.formats import numbers, read_table
from perturbarena.errors import FormatError

RESTART: Final = 0.3
"""Chance at each step that the walk goes back to where it began."""
STEPS: Final = 30
"""Steps after which less than 0.7³⁰ = 0.002 % of the walk has not yet gone back."""


@dataclass(frozen=True, slots=True)
class GeneGraph:
    """Undirected links: ``genes`` (N,), ``links`` (N, N) symmetric, non-negative weights."""

    genes: np.ndarray
    links: sp.csr_matrix

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str, float]]) -> GeneGraph:
        """From pairs with a weight; of a pair that stands twice the larger counts."""
        strongest: dict[tuple[str, str], float] = {}
        for a, b, weight in pairs:
            if a != b and weight > 0:
                key = (min(a, b), max(a, b))
                strongest[key] = max(weight, strongest.get(key, 0.0))
        genes = sorted({gene for pair in strongest for gene in pair})
        at = {gene: i for i, gene in enumerate(genes)}
        row = np.array([at[a] for a, _ in strongest], np.int64)
        column = np.array([at[b] for _, b in strongest], np.int64)
        weight = np.array(list(strongest.values()), np.float64)
        half = sp.coo_matrix((weight, (row, column)), shape=(len(genes), len(genes)))
        return cls(np.array(genes, object), sp.csr_matrix(half + half.T))

    @property
    def n_links(self) -> int:
        """Number of links."""
        return self.links.nnz // 2

    def proximity(self, seeds: dict[str, float], names: Sequence[str] | np.ndarray) -> np.ndarray:
        """How often a random walk that begins and restarts at the ``seeds`` is at each name; 0 where not
        linked.

        p ← (1 − r)·Wᵀp + r·p₀, W the links with rows summing to 1 (doi:10.1016/j.ajhg.2008.02.013), divided by
        where a walk begun at any gene would be, so that a gene is not near to everything for having many links.
        """
        at = {gene: i for i, gene in enumerate(self.genes)}
        start = np.zeros(len(self.genes))
        for gene, weight in seeds.items():
            if gene in at:
                start[at[gene]] = weight
        where = np.array([at.get(name, -1) for name in names], np.int64)
        if not start.sum():
            return np.zeros(len(where))
        near, anywhere = self._walk(start / start.sum()), self._walk(np.full(len(start), 1 / len(start)))
        return np.where(where >= 0, (near / anywhere)[where], 0.0)

    def _walk(self, start: np.ndarray) -> np.ndarray:
        degree = np.asarray(self.links.sum(axis=1)).ravel()
        at = start
        for _ in range(STEPS):
            at = (1 - RESTART) * (self.links @ (at / degree)) + RESTART * start
        return at


def read_graph(path: Path | str) -> GeneGraph:
    """Links from a CSV with the columns ``gene_a,gene_b`` and, where links differ, ``weight``.

    Raises
    ------
    FormatError
        If a column is missing, a weight is no number or negative, or there is no link.
    """
    table = read_table(path, required=("gene_a", "gene_b"))
    weights = numbers(table["weight"], "weight", source=path) if "weight" in table else np.ones(len(table))
    if (weights < 0).any():
        raise FormatError(f"{path}: a weight must not be negative; got {weights.min():g}")
    graph = GeneGraph.of(zip(table["gene_a"], table["gene_b"], weights.tolist(), strict=True))
    if not graph.n_links:
        raise FormatError(f"{path} has no link between two genes")
    return graph
