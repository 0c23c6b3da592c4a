"""Which genes are tested: all of them, or the highly variable ones as scanpy tells them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import scipy.sparse as sp

from perturbarena.errors import InputError, MissingExtraError
from perturbarena.screen.read import Screen

MIN_LOESS_GENES: Final = 30
"""On fewer genes the smooth fit of ``seurat_v3`` fails: below 20 with errors, and on three it ends the process."""

Flavor = Literal["seurat_v3", "seurat"]


@dataclass(frozen=True, slots=True)
class GeneSelection:
    """Positions of the chosen genes among the screen's, ascending, and in words how they were chosen."""

    positions: np.ndarray
    note: str


def select_genes(screen: Screen, n: int | None, *, flavor: Flavor = "seurat_v3") -> GeneSelection:
    """The ``n`` most variable genes; every gene where ``n`` is None or not below their number.

    ``seurat_v3`` ranks the variance of standardised, clipped counts (doi:10.1016/j.cell.2019.05.031); ``seurat``
    the dispersion of log-normalised ones within bins of mean expression (doi:10.1038/nbt.3192). Both are scanpy's,
    over all cells of the screen, without regard to batches. ``seurat`` takes a few more than ``n`` at a tie.

    Raises
    ------
    InputError
        If ``n`` is not positive, there are too few genes for ``seurat_v3``, or its smooth fit fails.
    MissingExtraError
        If scanpy, or scikit-misc for ``seurat_v3``, is not installed.
    """
    n_genes = len(screen.genes)
    if n is None or n >= n_genes:
        return GeneSelection(np.arange(n_genes), f"all {n_genes:,} genes")
    if n < 1:
        raise InputError(f"the number of genes must be positive; got {n}")
    _require("scanpy", "scanpy")
    if flavor == "seurat_v3":
        _require("skmisc", "scikit-misc")
        with_counts = len(np.unique(screen.counts.indices))
        if with_counts < MIN_LOESS_GENES:
            raise InputError(
                f"{screen.source}: gene selection by seurat_v3 needs at least {MIN_LOESS_GENES} genes with "
                f"counts, got {with_counts}; test all genes, or select by the other flavor"
            )
    import scanpy
    from anndata import AnnData

    counts = sp.csr_matrix(screen.counts.astype(np.float32))  # a copy: scanpy writes into what it is given
    if flavor == "seurat":
        counts = counts[np.diff(counts.indptr) > 0]  # an empty cell cannot be normalised
    adata = AnnData(counts)
    if flavor == "seurat":
        scanpy.pp.normalize_total(adata, target_sum=1e4)
        scanpy.pp.log1p(adata)
    try:
        scanpy.pp.highly_variable_genes(adata, n_top_genes=n, flavor=flavor)
    except ValueError as error:
        words = " ".join(str(error).split())
        raise InputError(
            f"{screen.source}: gene selection by {flavor} failed on {n_genes:,} genes ({words}); "
            "test all genes, or select by the other flavor"
        ) from error
    positions = np.flatnonzero(adata.var["highly_variable"].to_numpy(bool))
    version = importlib.metadata.version("scanpy")
    return GeneSelection(
        positions, f"{len(positions):,} of {n_genes:,} genes, highly variable by scanpy {version} {flavor}"
    )


def _require(module: str, distribution: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"selecting highly variable genes needs {distribution}, which is not installed: "
            "pip install 'perturbarena[screen]', or test all genes"
        )
