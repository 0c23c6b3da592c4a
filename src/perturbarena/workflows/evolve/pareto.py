"""Candidates that no other one beats in everything: DE, DIR, and the tokens an answer takes."""

from __future__ import annotations

import numpy as np


def pareto_front(values: np.ndarray) -> np.ndarray:
    """Which rows of ``values`` (n, m), larger is better, no other row is at least as good as in all and better
    than in one; shape (n,), bool.
    """
    no_worse = (values[:, None, :] >= values[None, :, :]).all(axis=2)
    better = (values[:, None, :] > values[None, :, :]).any(axis=2)
    return np.asarray(~(no_worse & better).any(axis=0))
