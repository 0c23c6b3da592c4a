"""Many played campaigns → how each strategy fared against choice by chance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.errors import InputError
from perturbarena.lab.retrospective import Control, Played
from perturbarena.stats.paired import PairedDifference, paired_difference

BASELINE: Final = "random"


class Fared(NamedTuple):
    """One strategy under one control. ``area``: mean share of hits found over the rounds; ``gain`` its
    difference from chance, same seeds, same control; likewise of predictions. ``found`` and ``predicted``
    (rounds + 1,) mean curves with their standard errors."""

    strategy: str
    control: Control
    n: int
    screens: int
    area: float
    gain: PairedDifference
    predicted_area: float
    predicted_gain: PairedDifference
    found: np.ndarray
    found_se: np.ndarray
    predicted: np.ndarray
    predicted_se: np.ndarray

    def as_json(self) -> dict[str, Any]:
        """For a file; undefined numbers are null."""
        return {
            "strategy": self.strategy,
            "control": self.control,
            "n": self.n,
            "screens": self.screens,
            "hits": {"area": self.area, **_difference(self.gain), "curve": self.found.tolist(),
                     "curve_se": [_number(x) for x in self.found_se]},
            "prediction": {"area": self.predicted_area, **_difference(self.predicted_gain),
                           "curve": self.predicted.tolist(), "curve_se": [_number(x) for x in self.predicted_se]},
        }  # fmt: skip


def fared(played: Sequence[Played]) -> list[Fared]:
    """Each strategy and control in order of appearance.

    Differences are taken seed by seed. With several screens they are averaged within each, and the interval is
    Student's t over screens; with one screen it is over seeds, and then speaks of other beginnings on this very
    screen, not of other screens.

    Raises
    ------
    InputError
        If a campaign has no counterpart played by chance.
    """
    chance: dict[tuple[str, int, Control], Played] = {
        (p.screen, p.seed, p.control): p for p in played if p.strategy == BASELINE
    }
    groups: dict[tuple[str, Control], list[Played]] = defaultdict(list)
    for one in played:
        if (one.screen, one.seed, one.control) not in chance:
            raise InputError(
                f"a comparison needs campaigns by {BASELINE} with the same seeds; seed {one.seed} has none"
            )
        groups[one.strategy, one.control].append(one)
    return [_fared(*key, group, chance) for key, group in groups.items()]


def _fared(
    strategy: str, control: Control, group: Sequence[Played], chance: Mapping[tuple[str, int, Control], Played]
) -> Fared:
    base = [chance[p.screen, p.seed, p.control] for p in group]
    screens = [p.screen for p in group]
    areas, base_areas = (np.array([p.area for p in ps]) for ps in (group, base))
    scores, base_scores = (np.array([p.predicted_area for p in ps]) for ps in (group, base))
    found, predicted = np.array([p.found for p in group]), np.array([p.predicted for p in group])
    return Fared(
        strategy=strategy,
        control=control,
        n=len(group),
        screens=len(set(screens)),
        area=float(areas.mean()),
        gain=_paired(areas - base_areas, screens),
        predicted_area=float(scores.mean()),
        predicted_gain=_paired(scores - base_scores, screens),
        found=found.mean(axis=0),
        found_se=_standard_error(found, screens),
        predicted=predicted.mean(axis=0),
        predicted_se=_standard_error(predicted, screens),
    )


def _units(values: np.ndarray, screens: Sequence[str]) -> np.ndarray:
    """What varies independently: screens where there are several, else seeds; first axis."""
    names = list(dict.fromkeys(screens))
    if len(names) == 1:
        return values
    of = np.array(screens)
    return np.array([values[of == name].mean(axis=0) for name in names])


def _paired(differences: np.ndarray, screens: Sequence[str]) -> PairedDifference:
    units = _units(differences, screens)
    variance = float(units.var(ddof=1) / len(units)) if len(units) > 1 else float("nan")
    return paired_difference(float(units.mean()), variance, len(units) - 1)


def _standard_error(curves: np.ndarray, screens: Sequence[str]) -> np.ndarray:
    units = _units(curves, screens)
    return units.std(axis=0, ddof=1) / np.sqrt(len(units)) if len(units) > 1 else np.full(curves.shape[1], np.nan)


def _difference(found: PairedDifference) -> dict[str, Any]:
    low, high = found.interval if found.interval is not None else (float("nan"), float("nan"))
    return {"gain": _number(found.difference), "low": _number(low), "high": _number(high), "p": _number(found.p)}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
