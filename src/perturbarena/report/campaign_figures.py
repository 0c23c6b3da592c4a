"""Figures of campaigns: curves over rounds with bands, and what was seen against what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perturbarena.errors import InputError
from perturbarena.report.figures import BLUE, GREY, house_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = (BLUE, "#b2182b", "#1b7837", "#e08214", "#762a83", "#01665e")
MARKERS: Final = ("o", "s", "^", "D", "v", "P")
"""Shapes as well as colours, for eyes and printers that see none."""


@dataclass(frozen=True, slots=True)
class BandCurve:
    """A named curve with its band, all (k,); NaN bounds draw no band. ``plain``: what the others are
    compared with."""

    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    plain: bool = False


@dataclass(frozen=True, slots=True)
class CurvePanel:
    """Curves on common axes."""

    title: str
    ylabel: str
    curves: Sequence[BandCurve]
    xlabel: str = "knockouts measured"


@dataclass(frozen=True, slots=True)
class ExpectedPanel:
    """One round: ``expected`` ± ``sd`` and ``seen`` values, (n,), with names; ``hit_above`` draws where hits
    begin."""

    title: str
    names: Sequence[str]
    expected: np.ndarray
    sd: np.ndarray
    seen: np.ndarray
    hit_above: float
    named: Sequence[int]


def draw_curves(path: Path | str, *, panels: Sequence[CurvePanel], title: str) -> None:
    """Draw panels side by side.

    Raises
    ------
    InputError
        If there is no panel, or the file name does not end in .png, .svg or .pdf.
    """
    if not panels:
        raise InputError("a figure of curves needs at least one panel; got none")
    with house_figure(path, title=title, size=(4.3 * len(panels) + 0.4, 3.7)) as figure:
        for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw_curves(axis, panel)


def draw_expected(path: Path | str, *, panels: Sequence[ExpectedPanel], title: str) -> None:
    """Draw seen against expected values, a panel a round, at most four in a row.

    Raises
    ------
    InputError
        As :func:`draw_curves`.
    """
    if not panels:
        raise InputError("a figure of rounds needs at least one round; got none")
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    with house_figure(path, title=title, size=(3.2 * columns + 0.2, 3.1 * rows + 0.3)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            _draw_expected(axis, panel)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)


def _draw_curves(axis: Axes, panel: CurvePanel) -> None:
    styles = iter(zip(COLOURS * 3, MARKERS * 3, strict=True))
    for curve in panel.curves:
        colour, marker = (GREY, "") if curve.plain else next(styles)
        line: dict[str, Any] = {"linestyle": (0, (4, 3))} if curve.plain else {"marker": marker, "markersize": 4}
        axis.plot(curve.x, curve.y, color=colour, linewidth=1.6, label=curve.name, **line)
        if np.isfinite(curve.low).all():
            axis.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.13, linewidth=0)
    axis.set(title=panel.title, xlabel=panel.xlabel, ylabel=panel.ylabel)
    axis.legend(frameon=False, fontsize=7.5)


def _draw_expected(axis: Axes, panel: ExpectedPanel) -> None:
    reach = np.concatenate([panel.expected - panel.sd, panel.expected + panel.sd, panel.seen])
    low, high = float(reach.min()), float(reach.max())
    pad = 0.06 * max(high - low, 1e-6)
    axis.plot([low - pad, high + pad], [low - pad, high + pad], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.axhline(panel.hit_above, color=GREY, linewidth=0.6)
    look = {"color": BLUE, "ecolor": "#b9cbe0", "markersize": 4, "elinewidth": 1}
    axis.errorbar(panel.expected, panel.seen, xerr=panel.sd, fmt="o", **look)
    for i in panel.named:
        place = (panel.expected[i], panel.seen[i])
        axis.annotate(panel.names[i], place, xytext=(4, 3), textcoords="offset points", fontsize=7)
    axis.set(title=panel.title, xlabel="value expected, ± 1 sd", ylabel="value seen")
    axis.margins(0.08)
