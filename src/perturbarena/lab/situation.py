"""Where a campaign stands, as a strategy sees it: what is known, believed and still open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import stdtr

from perturbarena.lab.features import CandidateFeatures
from perturbarena.lab.graph import GeneGraph
from perturbarena.lab.hypotheses import Settled
from perturbarena.lab.measurements import Measurements
from perturbarena.lab.objectives import Objective
from perturbarena.lab.surrogate import Predicted, Surrogate, fit_surrogate

Ask = Callable[[str], str]
"""A language model: prompt in, text out."""


@dataclass(frozen=True)
class Situation:
    """All that a strategy may use.

    ``features`` of all P candidates; ``seen`` what was measured, on which ``effects`` and ``values`` were
    learned; ``open`` (n,) rows of the candidates that may be proposed; ``hit_above`` the value from which a
    knockout counts as a hit now; ``settled`` what became of earlier hypotheses; ``graph`` and ``ask`` where
    there are any.
    """

    features: CandidateFeatures
    seen: Measurements
    open: np.ndarray
    objective: Objective
    hit_above: float
    effects: Surrogate
    values: Surrogate
    seen_values: np.ndarray
    settled: Sequence[Settled] = ()
    graph: GeneGraph | None = None
    ask: Ask | None = None

    @property
    def names(self) -> np.ndarray:
        """Of the open candidates, (n,)."""
        return self.features.names[self.open]

    @property
    def measured(self) -> np.ndarray:
        """Rows of the candidates that were measured, (m,)."""
        return self.effects.measured

    @cached_property
    def believed(self) -> Predicted:
        """The value of each open candidate, (n, 1)."""
        found = self.values.components(self.open)
        if self.values.learns:
            return Predicted(
                found.mean @ self.values.loadings + self.values.centre,
                found.shared @ self.values.loadings**2,
                found.own @ self.values.loadings**2,
            )
        return self.values.profiles(self.open)

    @cached_property
    def p_hit(self) -> np.ndarray:
        """Probability that each open candidate is a hit, (n,).

        Student's t with m − 1 degrees of freedom: the scale of values is itself learned from m knockouts.
        """
        above = (self.believed.mean[:, 0] - self.hit_above) / np.maximum(self.believed.sd[:, 0], 1e-12)
        return stdtr(max(len(self.seen) - 1, 1), above)

    def hits(self) -> list[str]:
        """Names of the measured knockouts that are hits."""
        return self.seen.perturbations[self.seen_values >= self.hit_above].tolist()


def assess(
    features: CandidateFeatures,
    seen: Measurements,
    *,
    open_: np.ndarray,
    objective: Objective,
    hit_above: float | None = None,
    settled: Sequence[Settled] = (),
    graph: GeneGraph | None = None,
    ask: Ask | None = None,
) -> Situation:
    """Learn from what was measured (all of it candidates), and say where things stand."""
    at = {name: i for i, name in enumerate(features.names)}
    rows = np.array([at[name] for name in seen.perturbations], np.int64)
    profiles = seen.profiles()
    values = objective.value(profiles, seen.genes, knocked_out=seen.perturbations)
    kernels = features.kernels()
    return Situation(
        features=features,
        seen=seen,
        open=open_,
        objective=objective,
        hit_above=objective.hit_above if hit_above is None else hit_above,
        effects=fit_surrogate(kernels, rows, profiles),
        values=fit_surrogate(kernels, rows, values[:, None]),
        seen_values=values,
        settled=settled,
        graph=graph,
        ask=ask,
    )
