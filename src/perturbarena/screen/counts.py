"""Any matrix of counts → CSR in memory, tested to be raw counts on the way.

Nothing of size cells × genes is ever dense: matrices are walked through in blocks, and the result is filled in
place, so that the peak is the CSR matrix and one block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, cast

import numpy as np
import scipy.sparse as sp

from perturbarena.errors import FormatError

BLOCK_VALUES: Final = 5_000_000
"""About how many values of a dense matrix, or stored ones of a sparse, are held at once (40 MB as float64)."""

LARGEST_LOGGED: Final = 30.0
"""Logarithms of counts stay below this (e³⁰ is 10¹³); values that are not logged rarely do."""

CONSTANT_SUM: Final = 1e-3
"""Relative spread of exp(x) − 1 sums over cells below which they are called equal."""

SUMMED_CELLS: Final = 10_000
"""Cells whose totals are taken at once: scipy widens the counts of what it sums."""


def total_counts(counts: sp.csr_matrix) -> np.ndarray:
    """Total counts of each cell, shape (n,), float64."""
    n_cells, _ = counts.get_shape()
    blocks = [counts[first : first + SUMMED_CELLS].sum(axis=1) for first in range(0, n_cells, SUMMED_CELLS)]
    return np.concatenate([np.asarray(block, np.float64).ravel() for block in blocks])


def to_csr(matrix: Any, *, keep: np.ndarray, where: str) -> sp.csr_matrix:
    """The rows where ``keep`` is true as a canonical CSR matrix of counts.

    Parameters
    ----------
    matrix
        Cells × genes: an array, a SciPy sparse matrix, a dataset of h5py or zarr, or anndata's sparse dataset.
    keep
        Shape (cells,), bool.
    where
        Names the matrix in messages, such as ``"X of screen.h5ad"``.

    Raises
    ------
    FormatError
        If a value is negative, not finite, not an integer, or above 2³¹ − 1.
    """
    if sp.issparse(matrix):
        counts = _from_sparse(matrix, keep)
        _refuse_unless_counts(counts, where)
        return _narrow(counts)
    if getattr(matrix, "format", None) == "csc":
        return _filled(matrix, keep, where, by_column=True)
    return _filled(matrix, keep, where, by_column=False)


def what_is_wrong(block: sp.csr_matrix) -> str | None:
    """Why these values are no raw counts, in words; None where they are."""
    values = block.data
    if values.dtype.kind in "bui" and (values.dtype.kind != "i" or not (values < 0).any()):
        return None if not len(values) or int(values.max()) <= np.iinfo(np.int32).max else _too_large(values)
    if values.dtype.kind not in "bfiu":
        return f"holds {values.dtype} values"
    finite = np.isfinite(values)
    if not finite.all():
        return f"holds {(~finite).sum():,} values that are NaN or infinite"
    if (values < 0).any():
        return f"holds negative values (the least is {values.min():.3g}), as scaled or centred data do"
    whole = values == np.rint(values)
    if whole.all():
        return _too_large(values) if len(values) and values.max() > np.iinfo(np.int32).max else None
    return _normalised(block, 1.0 - float(whole.mean()))


def _too_large(values: np.ndarray) -> str:
    return f"holds values above {np.iinfo(np.int32).max:,} (the largest is {values.max():.4g})"


def _normalised(block: sp.csr_matrix, fraction: float) -> str:
    largest = float(block.data.max())
    told = f"{_share(fraction)} of the non-zero values are not integers, the largest is {largest:.4g}"
    if largest >= LARGEST_LOGGED:
        return f"holds normalised or corrected values ({told})"
    unlogged = block.copy()
    unlogged.data = np.expm1(block.data.astype(np.float64))
    sums = np.asarray(unlogged.sum(axis=1)).ravel()
    sums = sums[sums > 0]
    if len(sums) > 1 and float(np.std(sums)) < CONSTANT_SUM * float(np.mean(sums)):
        told += f", and exp(x) − 1 sums to {np.mean(sums):,.0f} in every cell"
    return f"holds log-normalised values ({told})"


def _share(fraction: float) -> str:
    return f"{fraction:.0%}" if fraction >= 0.01 else "under 1%"


def looks_raw(matrix: Any, *, rows: int = 500) -> bool:
    """Whether the first rows hold raw counts; for naming a better layer in a message, not for accepting one."""
    block = sp.csr_matrix(matrix[: min(rows, matrix.shape[0])])
    return block.nnz > 0 and what_is_wrong(block) is None


def _refuse_unless_counts(counts: sp.csr_matrix, where: str) -> None:
    n_cells, _ = cast(tuple[int, int], counts.shape)
    for first, last in _spans(n_cells, stored=counts.nnz):
        wrong = what_is_wrong(counts if last - first == n_cells else counts[first:last])
        if wrong:
            raise FormatError(f"{where} {wrong}; raw counts are needed")


def _from_sparse(matrix: Any, keep: np.ndarray) -> sp.csr_matrix:
    """CSR in canonical form; the given matrix itself where it is that already, so it must not be written to."""
    csr = matrix if matrix.format == "csr" else matrix.tocsr()
    if not keep.all():
        csr = csr[keep]
    if not isinstance(csr, sp.csr_matrix):
        csr = sp.csr_matrix(csr)
    if not csr.has_canonical_format or (csr.data == 0).any():
        csr = csr.copy() if csr is matrix or np.shares_memory(csr.data, matrix.data) else csr
        csr.sum_duplicates()
        csr.eliminate_zeros()
    return csr


def _narrow(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Counts of eight bytes, or of bool, as int32."""
    if counts.dtype.itemsize <= 4 and counts.dtype.kind != "b" and counts.dtype != np.uint32:
        return counts
    return sp.csr_matrix((counts.data.astype(np.int32), counts.indices, counts.indptr), shape=counts.shape)


def _filled(matrix: Any, keep: np.ndarray, where: str, *, by_column: bool) -> sp.csr_matrix:
    """Two walks over a matrix on disk or a dense one: count each row's non-zeros and test them, then fill."""
    n_genes = int(matrix.shape[1])
    per_row = np.zeros(int(keep.sum()), np.int64)
    for rows, _, block in _blocks(matrix, keep, by_column=by_column):
        wrong = what_is_wrong(block)
        if wrong:
            raise FormatError(f"{where} {wrong}; raw counts are needed")
        per_row[rows] += np.diff(block.indptr)
    indptr = np.concatenate([[0], np.cumsum(per_row)])
    index_type = np.int32 if max(indptr[-1], n_genes) <= np.iinfo(np.int32).max else np.int64
    data, indices = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], index_type)
    free = indptr[:-1].copy()
    for rows, first_gene, block in _blocks(matrix, keep, by_column=by_column):
        lengths = np.diff(block.indptr)
        target = np.repeat(free[rows] - block.indptr[:-1], lengths) + np.arange(block.nnz)
        data[target], indices[target] = block.data, block.indices + first_gene
        free[rows] += lengths
    return sp.csr_matrix((data, indices, indptr.astype(index_type)), shape=(len(per_row), n_genes))


def _blocks(matrix: Any, keep: np.ndarray, *, by_column: bool) -> Iterator[tuple[slice, int, sp.csr_matrix]]:
    """Kept rows that a block covers, its first gene, and the block without stored zeros."""
    n_cells, n_genes = matrix.shape
    if by_column:
        for first, last in _spans(n_genes, stored=_stored(matrix)):
            yield slice(0, None), first, _canonical(matrix[:, first:last].tocsr()[keep])
        return
    done = 0
    for first, last in _spans(n_cells, stored=_stored(matrix)):
        block = matrix[first:last]
        kept = keep[first:last]
        block = _canonical(sp.csr_matrix(block if kept.all() else block[kept]))
        yield slice(done, done + int(kept.sum())), 0, block
        done += int(kept.sum())


def _canonical(block: sp.csr_matrix) -> sp.csr_matrix:
    block.sum_duplicates()
    block.eliminate_zeros()
    return sp.csr_matrix(block)


def _stored(matrix: Any) -> int:
    """How many values the matrix stores."""
    group = getattr(matrix, "group", None)
    return matrix.shape[0] * matrix.shape[1] if group is None else int(group["data"].shape[0])


def _spans(length: int, *, stored: int) -> Iterator[tuple[int, int]]:
    step = max(1, BLOCK_VALUES // max(stored // max(length, 1), 1))
    for first in range(0, length, step):
        yield first, min(first + step, length)
