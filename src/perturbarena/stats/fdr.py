"""The false discovery rate, and which genes count as moved."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

MAX_FDR: Final = 0.05
MIN_ABS_LOG2FC: Final = math.log2(1.5)
"""A gene counts as moved below this FDR and at or above this shrunken log2 fold change (the published rule)."""


def benjamini_hochberg(pvalue: np.ndarray) -> np.ndarray:
    """Benjamini–Hochberg adjusted p-values, shape (n,); NaN stays NaN and does not count as a test.

    ``q_(i) = min_{j≥i} p_(j)·m/j`` over the m p-values in ascending order
    (doi:10.1111/j.2517-6161.1995.tb02031.x).
    """
    adjusted = np.full(len(pvalue), np.nan)
    tested = np.flatnonzero(~np.isnan(pvalue))
    if not len(tested):
        return adjusted
    order = tested[np.argsort(pvalue[tested], kind="stable")]
    scaled = pvalue[order] * len(order) / np.arange(1, len(order) + 1)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return adjusted


def moved_genes(
    fdr: np.ndarray, shrunk: np.ndarray, *, max_fdr: float = MAX_FDR, min_abs_log2fc: float = MIN_ABS_LOG2FC
) -> np.ndarray:
    """Which genes count as moved, by FDR and shrunken log2 fold change; of their shape, bool, False where NaN."""
    return np.logical_and(fdr < max_fdr, np.abs(shrunk) >= min_abs_log2fc)
