"""Curves of played campaigns: hits found and predictions, over knockouts measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.lab import Fared, Game
from perturbarena.lab.comparison import BASELINE
from perturbarena.report import BandCurve, CurvePanel, draw_curves

Z95: Final = 1.96
MOST: Final = 5
"""Strategies shown beside chance: those with the largest gain in hits."""


def simulation_figure(path: Path, found: Sequence[Fared], *, game: Game, title: str) -> None:
    """Draw hits found and prediction score of chance and of the strategies that gained most, without controls.

    Raises
    ------
    InputError
        If the file's suffix is unknown.
    """
    real = [one for one in found if one.control == "none"]
    best = sorted((o for o in real if o.strategy != BASELINE), key=lambda o: -o.gain.difference)[:MOST]
    shown = [o for o in real if o.strategy == BASELINE] + best
    x = game.start + game.batch * np.arange(game.rounds + 1)
    panels = [
        CurvePanel("Hits found", "share of the hits", [_curve(o, x, o.found, o.found_se) for o in shown]),
        CurvePanel(
            "Prediction of knockouts and genes set aside",
            "mean r",
            [_curve(o, x, o.predicted, o.predicted_se) for o in shown],
        ),
    ]
    draw_curves(path, panels=panels, title=title)


def _curve(one: Fared, x: np.ndarray, y: np.ndarray, se: np.ndarray) -> BandCurve:
    return BandCurve(one.strategy, x, y, y - Z95 * se, y + Z95 * se, plain=one.strategy == BASELINE)
