"""The false discovery rate."""

from __future__ import annotations

import numpy as np


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
