"""How much of a value's variance is between units, and how much is within: one-way variance components."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from perturbarena.errors import InputError


class Components(NamedTuple):
    """Variances of one draw, in squared units of the values. ``between`` may come out below 0 by chance."""

    between: float
    within: float

    def share(self, draws: int) -> float:
        """Share of the variance of a mean of ``draws`` draws that is between units; NaN if there is none."""
        between = max(self.between, 0.0)
        total = between + self.within / draws
        return between / total if total > 0 else float("nan")


def variance_components(values: np.ndarray) -> Components:
    """Components of ``values``, shape (s, n): s draws for each of n units.

    ``within`` is the mean square within units, ``between`` is the variance of the units' means less
    ``within / s`` (the analysis of variance estimator for a balanced one-way layout).

    Raises
    ------
    InputError
        If there are fewer than 2 draws or 2 units.
    """
    s, n = values.shape
    if s < 2 or n < 2:
        raise InputError(f"variance components need at least 2 draws of 2 units; got {s} of {n}")
    within = float(values.var(axis=0, ddof=1).mean())
    return Components(float(values.mean(axis=0).var(ddof=1)) - within / s, within)
