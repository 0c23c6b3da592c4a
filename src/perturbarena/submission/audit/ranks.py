"""Rank correlation, the one number with which several rules compare two columns."""

from __future__ import annotations

import numpy as np


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's ρ with mid-ranks for ties; NaN where one of them is constant or there are fewer than 3 rows."""
    from scipy.stats import rankdata

    if len(a) < 3:
        return float("nan")
    x, y = rankdata(a), rankdata(b)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale > 0 else float("nan")
