"""Truncated singular value decomposition, the same every time: scipy's with start and order fixed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds


class Decomposition(NamedTuple):
    """X (m × n) ≈ left · diag(singular) · right, singular values falling; shapes (m, k), (k,), (k, n)."""

    left: np.ndarray
    singular: np.ndarray
    right: np.ndarray


def truncated_svd(matrix: sparse.csr_matrix | LinearOperator, *, n_dimensions: int) -> Decomposition:
    """The leading ``n_dimensions`` singular triples, or as many as the matrix has less one."""
    assert matrix.shape is not None
    smaller = int(min(matrix.shape))
    start = np.random.default_rng(0).standard_normal(smaller)
    left, singular, right = svds(matrix, k=min(n_dimensions, smaller - 1), v0=start)
    assert left is not None
    assert right is not None
    order = np.argsort(-singular)
    return Decomposition(left[:, order], singular[order], right[order])
