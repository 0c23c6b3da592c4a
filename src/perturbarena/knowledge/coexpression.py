"""Co-expression in single cells: which genes rise and fall together in cells of the kind that is asked about."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from perturbarena.errors import FormatError, MissingExtraError
from perturbarena.knowledge.decomposition import truncated_svd
from perturbarena.knowledge.features import GeneFeatures

if TYPE_CHECKING:
    from anndata import AnnData

N_DIMENSIONS: Final = 20
MIN_CELLS: Final = 5
"""A gene seen in fewer cells has no correlation worth the name and gets no features."""
SPREAD_FLOOR: Final = 1e-6
"""A standard deviation below this is a constant's rounding error."""


class CellFeatures(NamedTuple):
    """Of the same genes: co-expression, and mean and standard deviation of the log expression over cells."""

    coexpression: GeneFeatures
    level: GeneFeatures


def coexpression_features(path: Path | str, *, n_dimensions: int = N_DIMENSIONS) -> GeneFeatures:
    """Each gene's loadings on the leading components of a cells × genes matrix.

    Counts are scaled to the median cell's total, x = log(1 + scaled count) (natural logarithm), and every gene is
    standardised: Z with mean 0 and variance 1 over the c cells. Z ≈ U S Vᵀ; a gene's features are its row of
    V S/√c, its correlations with the components. Products of such rows approximate the gene-gene correlations.

    Parameters
    ----------
    path
        An h5ad file, cells × genes, gene symbols as variable names. Whole numbers are taken as counts; other
        non-negative values as already normalised and logged.
    n_dimensions
        Components kept; fewer where the matrix has fewer.

    Raises
    ------
    MissingExtraError
        If anndata is not installed.
    FormatError
        If the file cannot be read, has negative or non-finite values, or fewer than 2 usable genes or cells.
    """
    return cell_features(path, n_dimensions=n_dimensions).coexpression


def cell_features(path: Path | str, *, n_dimensions: int = N_DIMENSIONS) -> CellFeatures:
    """Co-expression, and each gene's level, from one reading; arguments and errors as
    :func:`coexpression_features`."""
    cells = _read_cells(Path(path))
    values = cells.X
    if values is None:
        raise FormatError(f"{path} has no matrix X")
    counts = sparse.csc_matrix(values, dtype=np.float64)
    if not np.isfinite(counts.data).all() or (counts.data < 0).any():
        raise FormatError(f"{path}: counts must be finite and not negative")
    logged = _log_normalised(counts)
    mean = np.asarray(logged.mean(axis=0)).ravel()
    spread = np.sqrt(np.maximum(np.asarray(logged.power(2).mean(axis=0)).ravel() - mean**2, 0.0))
    genes, first = np.unique(np.asarray(cells.var_names, str), return_index=True)
    seen_in = np.bincount(logged.nonzero()[1], minlength=len(mean))
    usable = (seen_in >= MIN_CELLS)[first] & (spread[first] > SPREAD_FLOOR)
    keep = first[usable]
    if len(keep) < 2 or cells.n_obs < 2:
        raise FormatError(
            f"{path} needs at least 2 cells and 2 genes that vary and are seen in {MIN_CELLS} cells; "
            f"it has {cells.n_obs} cells and {len(keep)} such genes"
        )
    kept = sparse.csc_matrix(logged[:, keep])
    loadings = _loadings(kept, mean[keep], spread[keep], n_dimensions)
    names = genes[usable].astype(object)
    level = np.column_stack([mean[keep], spread[keep]])
    return CellFeatures(
        GeneFeatures("coexpression", names, loadings, str(path)), GeneFeatures("level", names, level, str(path))
    )


def _read_cells(path: Path) -> AnnData:
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    try:
        import anndata
    except ImportError as error:
        raise MissingExtraError(
            f"reading {path} needs anndata; install it with: pip install 'perturbarena[screen]'"
        ) from error
    try:
        return anndata.read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} cannot be read as h5ad: {' '.join(str(error).split())[:200]}") from error


def _log_normalised(counts: sparse.csc_matrix) -> sparse.csc_matrix:
    if not (counts.data == np.floor(counts.data)).all():
        return counts
    totals = np.asarray(counts.sum(axis=1)).ravel()
    counted = totals > 0
    usual = np.median(totals[counted]) if counted.any() else 1.0
    factors = np.divide(usual, totals, where=counted, out=np.zeros_like(totals))
    scaled = sparse.csc_matrix(sparse.diags(factors) @ counts)
    scaled.data = np.log1p(scaled.data)
    return scaled


def _loadings(logged: sparse.csc_matrix, mean: np.ndarray, spread: np.ndarray, n_dimensions: int) -> np.ndarray:
    """V S/√c of the standardised matrix, which is never made: it would be dense."""
    assert logged.shape is not None
    n_cells = int(logged.shape[0])
    found = truncated_svd(_Standardised(logged, mean, spread), n_dimensions=n_dimensions)
    return found.right.T * (found.singular / np.sqrt(n_cells))


class _Standardised(LinearOperator):
    """(X − 1·mean)·diag(1/spread) as what it does to vectors."""

    def __init__(self, logged: sparse.csc_matrix, mean: np.ndarray, spread: np.ndarray) -> None:
        super().__init__(np.dtype(np.float64), logged.shape)
        self.logged, self.mean, self.weight = logged, mean, 1 / spread

    def _matvec(self, x: np.ndarray) -> np.ndarray:
        scaled = self.weight * x.ravel()
        return self.logged @ scaled - self.mean @ scaled

    def _rmatvec(self, x: np.ndarray) -> np.ndarray:
        return self.weight * (self.logged.T @ x.ravel() - self.mean * x.sum())
