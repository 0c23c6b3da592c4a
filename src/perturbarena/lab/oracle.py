"""A screen that hides its results and gives out only what is asked for, for playing a campaign in
retrospect."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from perturbarena.errors import InputError
from perturbarena.lab.features import CandidateFeatures
from perturbarena.lab.graph import GeneGraph
from perturbarena.lab.measurements import Measurements
from perturbarena.lab.objectives import Objective


@dataclass(frozen=True, slots=True)
class HiddenScreen:
    """Results of all P candidates.

    ``shown`` is what measuring gives; ``truth`` (P, G) what hits and predictions are judged by: the same
    estimates unless the true effects are known. ``features`` of the same candidates, in the same order.
    """

    shown: Measurements
    truth: np.ndarray
    features: CandidateFeatures
    objective: Objective
    graph: GeneGraph | None = None
    name: str = "screen"

    @classmethod
    def of(
        cls,
        shown: Measurements,
        features: CandidateFeatures,
        objective: Objective,
        *,
        truth: np.ndarray | None = None,
        graph: GeneGraph | None = None,
        name: str = "screen",
    ) -> HiddenScreen:
        """A screen whose candidates are all that was measured.

        Raises
        ------
        InputError
            If the features are of other candidates, or the objective's genes were not measured.
        """
        if list(shown.perturbations) != list(features.names):
            raise InputError("a hidden screen needs features of its own knockouts, in their order")
        objective.check(shown.genes)
        judged = shown.profiles() if truth is None else replace(shown, effect=truth).profiles()
        return cls(shown, judged, features, objective, graph, name)

    def values(self) -> np.ndarray:
        """The true value of every candidate, (P,)."""
        return self.objective.value(self.truth, self.shown.genes, knocked_out=self.shown.perturbations)


@dataclass(slots=True)
class Oracle:
    """Gives out results of a hidden screen, and counts. With ``dealt`` each candidate shows another one's
    results: what is then learned is of no use, which is a control."""

    screen: HiddenScreen
    dealt: np.ndarray | None = None
    asked: list[int] = field(default_factory=list)

    def measure(self, rows: np.ndarray) -> Measurements:
        """Results of these candidates.

        Raises
        ------
        InputError
            If one was measured before: a campaign pays for each once.
        """
        again = set(rows.tolist()) & set(self.asked)
        if again:
            raise InputError(f"measured twice: {self.screen.shown.perturbations[min(again)]}")
        self.asked += rows.tolist()
        names, shown = self.screen.shown.perturbations, self.screen.shown
        if self.dealt is None:
            return shown.rows(names[rows])
        return replace(shown.rows(names[self.dealt[rows]]), perturbations=names[rows])
