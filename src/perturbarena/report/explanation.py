"""How an answer moves when a piece of its evidence is taken away, one bar a piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perturbarena.errors import InputError
from perturbarena.report.figures import GREY, house_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UP: Final = "#b2182b"
DOWN: Final = "#2166ac"
_HEIGHT: Final = 0.27
"""Inches a piece of evidence takes."""


@dataclass(frozen=True, slots=True)
class ShiftBar:
    """What the probabilities of up and of down gain when ``name`` is taken away."""

    name: str
    d_up: float
    d_down: float


@dataclass(frozen=True, slots=True)
class ShiftPanel:
    """Pieces of evidence of one kind, from top to bottom."""

    title: str
    bars: Sequence[ShiftBar]


def draw_shifts(path: Path | str, *, panels: Sequence[ShiftPanel], title: str) -> None:
    """Draw panels side by side on one scale; a bar to the right is a probability that grows without the piece.

    Raises
    ------
    InputError
        If no panel has a bar, or the file name does not end in .png, .svg or .pdf.
    """
    filled = [panel for panel in panels if panel.bars]
    if not filled:
        raise InputError("a figure of shifts needs at least one; got none")
    reach = 1.15 * max(abs(x) for panel in filled for bar in panel.bars for x in (bar.d_up, bar.d_down)) or 0.01
    rows = max(len(panel.bars) for panel in filled)
    size = (4.3 * len(filled) + 0.6, 1.6 + 2 * _HEIGHT * rows / 1.6)
    with house_figure(path, title=title, size=size) as figure:
        axes = figure.subplots(1, len(filled), squeeze=False)[0]
        for i, (axis, panel) in enumerate(zip(axes, filled, strict=True)):
            _draw(axis, panel, reach=reach, rows=rows, legend=i == 0)


def _draw(axis: Axes, panel: ShiftPanel, *, reach: float, rows: int, legend: bool) -> None:
    at = [rows - 1 - i for i in range(len(panel.bars))]
    axis.axvline(0, color=GREY, linewidth=0.8)
    for name, colour, offset in (("up", UP, 0.18), ("down", DOWN, -0.18)):
        values = [bar.d_up if name == "up" else bar.d_down for bar in panel.bars]
        axis.barh([y + offset for y in at], values, height=0.34, color=colour, label=f"p({name})")
    axis.set(
        xlim=(-reach, reach), ylim=(-0.6, rows - 0.4), yticks=at, yticklabels=[bar.name for bar in panel.bars],
        xlabel="change of probability without it", title=panel.title,
    )  # fmt: skip
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=5)
    axis.spines["left"].set_visible(False)
    if legend:
        axis.legend(frameon=False, fontsize=8, loc="lower right")
