"""The course of a training as a figure: loss, reward where there is one, and AUROCs on rows held back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from perturbarena.report.figures import BLUE, GREY, Curve, house_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS: Final = (BLUE, "#b2182b", GREY)
_MARKED: Final = 40
"""Up to so many points carry marks."""


def draw_training_curves(path: Path | str, panels: Sequence[tuple[str, Sequence[Curve]]], *, title: str) -> None:
    """Draw panels side by side: each a title and its curves over steps; one titled AUROC… shows chance.

    Raises
    ------
    InputError
        If the file name does not end in .png, .svg or .pdf.
    """
    with house_figure(path, title=title, size=(4.0 * max(1, len(panels)), 3.2)) as figure:
        axes = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
        for axis, (head, curves) in zip(axes, panels, strict=False):
            _draw(axis, head, curves)


def _draw(axis: Axes, head: str, curves: Sequence[Curve]) -> None:
    for curve, colour in zip(curves, _COLOURS, strict=False):
        marks = {"marker": "o", "markersize": 3} if len(curve.x) <= _MARKED else {}
        last = float(curve.y[np.isfinite(curve.y)][-1]) if np.isfinite(curve.y).any() else float("nan")
        axis.plot(
            curve.x, curve.y, color=colour, linewidth=1.6, label=f"{curve.name}: {last:.3f} at last", **marks
        )
    axis.set_title(head)
    axis.set_xlabel("step")
    if head.startswith("AUROC"):
        axis.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.set_ylim(min(0.4, *(float(np.nanmin(c.y)) - 0.03 for c in curves)), 1.03)
    axis.legend(frameon=False, loc="best")
