"""Forest plot of an audit: what each attack reaches, against the band in which it is of no use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from perturbarena.errors import InputError
from perturbarena.report.figures import GREY, house_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS: Final = {"leak": "#b2182b", "clean": "#2166ac", "cannot tell": "#8a8f98", "ceiling": "#111827"}
MARKERS: Final = {"leak": "D", "clean": "o", "cannot tell": "s"}
"""Shapes as well as colours, for eyes and printers that see none."""
BAND: Final = "#dbe7f3"
LINE_HEIGHT: Final = 0.225
"""Inches a line of the plot takes."""


@dataclass(frozen=True, slots=True)
class ForestLine:
    """One AUROC with its interval; ``chance`` ± ``clean_within`` is the band in which it is of no use.

    ``verdict`` chooses colour and shape. A ``ceiling`` has no interval and no band: it is drawn beside what
    chance gives. ``value`` is NaN where undefined, ``low`` and ``high`` where there is no interval.
    """

    name: str
    value: float
    low: float
    high: float
    chance: float
    verdict: str


@dataclass(frozen=True, slots=True)
class ForestPanel:
    """Lines from top to bottom under one title; ``row`` names the block of panels it stands in, side by side."""

    row: str
    title: str
    lines: Sequence[ForestLine]
    xlabel: str = "AUROC"


def draw_forest(path: Path | str, *, panels: Sequence[ForestPanel], clean_within: float, title: str) -> None:
    """Draw panels of one ``row`` side by side, rows of panels below each other.

    Raises
    ------
    InputError
        If there is no panel, or the file name does not end in .png, .svg or .pdf.
    """
    if not panels:
        raise InputError("a forest plot needs at least one panel; got none")
    blocks = {p.row: [q for q in panels if q.row == p.row] for p in panels}
    lines = [max(len(p.lines) for p in block) for block in blocks.values()]
    columns = max(len(block) for block in blocks.values())
    height = LINE_HEIGHT * sum(lines) + 0.75 * len(blocks) + 0.7
    with house_figure(path, title=title, size=(1.6 + 3.9 * columns, height)) as figure:
        axes = figure.subplots(len(blocks), columns, squeeze=False, sharex=True, height_ratios=lines)
        for row, block in zip(axes, blocks.values(), strict=True):
            for axis in row[len(block) :]:
                axis.set_visible(False)
            for i, (axis, panel) in enumerate(zip(row, block, strict=False)):
                _draw_panel(axis, panel, clean_within=clean_within, named=i == 0 or not _same_names(block))
        for axis, panel in zip(axes[-1], list(blocks.values())[-1], strict=False):
            axis.set_xlabel(panel.xlabel)
        figure.legend(
            handles=_legend(panels, clean_within), loc="outside lower center", ncols=4, frameon=False, fontsize=8
        )


def _draw_panel(axis: Axes, panel: ForestPanel, *, clean_within: float, named: bool) -> None:
    n = len(panel.lines)
    for i, line in enumerate(panel.lines):
        y, colour = n - 1 - i, COLOURS[line.verdict]
        if i % 2 == 0:
            axis.axhspan(y - 0.5, y + 0.5, color="#f6f7f9", linewidth=0, zorder=0)
        if line.verdict == "ceiling":
            axis.plot([line.chance], [y], "|", color=GREY, markersize=9, markeredgewidth=1.2, zorder=2)
            axis.plot([line.value], [y], "<", color=colour, markersize=5.5, fillstyle="none", zorder=4)
        else:
            spread = (line.chance - clean_within, line.chance + clean_within)
            axis.fill_between(spread, y - 0.5, y + 0.5, color=BAND, linewidth=0, zorder=1)
            axis.plot([line.chance] * 2, [y - 0.5, y + 0.5], color="white", linewidth=1, zorder=2)
            axis.plot([line.low, line.high], [y, y], color=colour, linewidth=2, solid_capstyle="round", zorder=3)
            inner = "white" if _apart(line, clean_within) else colour
            style = {"color": colour, "markerfacecolor": inner, "markersize": 5.5, "markeredgewidth": 1.4}
            axis.plot([line.value], [y], MARKERS[line.verdict], zorder=4, **style)
        text = f"{line.value:.3f}" if np.isfinite(line.value) else "–"
        bold = "bold" if line.verdict == "leak" else "normal"
        place = axis.get_yaxis_transform()
        axis.text(1.02, y, text, color=colour, va="center", fontsize=8, fontweight=bold, transform=place)
    axis.set(ylim=(-0.5, n - 0.5), xlim=(-0.02, 1.02), yticks=range(n), title=panel.title)
    axis.set_yticklabels([line.name for line in reversed(panel.lines)] if named else [])
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelbottom=True)
    axis.spines["left"].set_visible(False)


def _same_names(block: Sequence[ForestPanel]) -> bool:
    return len({tuple(line.name for line in panel.lines) for panel in block}) == 1


def _apart(line: ForestLine, clean_within: float) -> bool:
    """Clean although outside the band: it tells much, but of no row that is asked."""
    return line.verdict == "clean" and abs(line.value - line.chance) > clean_within


def _legend(panels: Sequence[ForestPanel], clean_within: float) -> list:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    used = {line.verdict for panel in panels for line in panel.lines}
    handles: list = [
        Line2D([], [], color=COLOURS[verdict], marker=marker, linewidth=2, markersize=5, label=verdict)
        for verdict, marker in MARKERS.items()
        if verdict in used
    ]
    if any(_apart(line, clean_within) for panel in panels for line in panel.lines):
        hollow = {"color": COLOURS["clean"], "markerfacecolor": "white", "markeredgewidth": 1.4}
        handles.append(
            Line2D([], [], marker="o", linewidth=2, markersize=5.5, label="clean: cannot be used", **hollow)
        )
    handles.append(Patch(color=BAND, label="of no use"))
    if "ceiling" in used:
        handles += [
            Line2D(
                [],
                [],
                color=COLOURS["ceiling"],
                marker="<",
                fillstyle="none",
                linewidth=0,
                label="oracle: at most",
            ),
            Line2D(
                [], [], color=GREY, marker="|", markersize=9, linewidth=0, label="oracle, labels dealt at random"
            ),
        ]
    return handles
