"""Cells of a screen in the form that the fit takes: gene by gene, batch by batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from perturbarena.screen.counts import total_counts
from perturbarena.screen.read import Screen
from perturbarena.stats.nb_glm import PerturbationFit, fit_perturbation, side
from perturbarena.stats.nb_groups import Side
from perturbarena.stats.size_factors import EMPTY_CELL


@dataclass(frozen=True, slots=True)
class Cells:
    """Counts of the tested genes, n cells × G genes, with each cell's size factor and batch.

    ``size_factor`` is in one common unit for all cells; every fit rescales it to a geometric mean of 1 over its
    own cells. ``counted`` tells cells that have counts at all. ``batch`` is the position among ``n_batches``.
    """

    counts: sp.csr_matrix
    size_factor: np.ndarray
    counted: np.ndarray
    batch: np.ndarray
    n_batches: int

    @property
    def n_genes(self) -> int:
        """G."""
        _, n_genes = self.counts.get_shape()
        return n_genes

    @classmethod
    def of(cls, screen: Screen, genes: np.ndarray) -> Cells:
        """Cells with the genes at positions ``genes``; size factors come from all the screen's genes.

        Without size factors of its own, a cell's is its total count; an empty cell gets ``EMPTY_CELL`` times the
        geometric mean.
        """
        total = total_counts(screen.counts) if screen.size_factor is None else screen.size_factor
        counted = total > 0
        scale = np.exp(np.log(total[counted]).mean())
        factor = np.where(counted, total / scale, EMPTY_CELL)
        batch = np.unique(screen.batch, return_inverse=True)[1]
        counts = screen.counts if len(genes) == len(screen.genes) else screen.counts[:, genes].tocsr()
        return cls(counts, factor, counted, batch, int(batch.max()) + 1)

    def side(self, rows: np.ndarray) -> Side:
        """The cells at ``rows`` as one side of a fit."""
        ordered = rows[np.argsort(self.batch[rows], kind="stable")]
        batch = self.batch[ordered]
        by_gene = self.counts[ordered].tocsc()
        n_genes = by_gene.shape[1]
        group = np.repeat(np.arange(n_genes) * self.n_batches, np.diff(by_gene.indptr)) + batch[by_gene.indices]
        sizes = np.bincount(group, minlength=n_genes * self.n_batches).reshape(n_genes, self.n_batches)
        start = np.zeros((n_genes, self.n_batches + 1), np.int64)
        start[:, 0] = by_gene.indptr[:-1]
        start[:, 1:] = by_gene.indptr[:-1, None] + np.cumsum(sizes, axis=1)
        first_of_batch = np.searchsorted(batch, np.arange(self.n_batches + 1))
        return side(by_gene.data, by_gene.indices, start, self.size_factor[ordered], first_of_batch)


@dataclass(frozen=True, slots=True)
class Controls:
    """Control cells made ready once for every perturbation that is tested against them."""

    cells: Cells
    rows: np.ndarray
    ready: Side
    batches: np.ndarray

    @classmethod
    def of(cls, cells: Cells, rows: np.ndarray) -> Controls:
        """The controls at ``rows``."""
        return cls(cells, rows, cells.side(rows), np.unique(cells.batch[rows]))

    def test(self, perturbed: np.ndarray) -> PerturbationFit:
        """Fit and test the cells at ``perturbed`` against these controls.

        Perturbed cells of a batch without controls tell nothing of the perturbation; they enter the fit, with a
        coefficient of their own batch, through the overdispersion alone, as in the full design.
        """
        alone = ~np.isin(self.cells.batch[perturbed], self.batches)
        ready = self.cells.side(np.r_[self.rows, perturbed[alone]]) if alone.any() else self.ready
        rows = np.r_[self.rows, perturbed]
        factor, counted = self.cells.size_factor[rows], self.cells.counted[rows]
        geometric = np.exp(np.log(factor[counted]).mean())
        return fit_perturbation(
            ready, self.cells.side(perturbed[~alone]), mean_size_factor=float(factor.mean() / geometric)
        )
