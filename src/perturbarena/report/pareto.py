"""Candidates by DE, DIR and the tokens they cost: which ones no other beats in everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perturbarena.errors import InputError
from perturbarena.report.figures import BLUE, GREY, house_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BASELINE: Final = "#b2182b"


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One candidate: AUROCs, tokens a question, and what it is. ``name`` is written beside it where given."""

    de: float
    direction: float
    tokens: float
    on_front: bool
    is_baseline: bool = False
    name: str = ""

    @property
    def score(self) -> float:
        """The mean of the two AUROCs."""
        return (self.de + self.direction) / 2


def draw_pareto(path: Path | str, *, points: Sequence[ParetoPoint], title: str) -> None:
    """Draw DIR over DE, and the score over tokens; candidates on the front are filled, the others are rings.

    Raises
    ------
    InputError
        If there is no candidate, or the file name does not end in .png, .svg or .pdf.
    """
    if not points:
        raise InputError("a figure of candidates needs at least one; got none")
    with house_figure(path, title=title, size=(9.2, 4.3)) as figure:
        left, right = figure.subplots(1, 2)
        for point in points:
            _mark(left, point.de, point.direction, point)
            _mark(right, point.tokens, point.score, point)
        for axis in (left, right):
            axis.margins(0.12)
        left.axvline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        left.axhline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        left.set(xlabel="DE AUROC", ylabel="DIR AUROC", title="On selection rows (0.5 = chance)")
        right.set(xlabel="tokens a question", ylabel="score", title="What it costs")
        right.set_xlim(left=0, right=1.15 * max(point.tokens for point in points) + 1)
        _legend(left)


def _mark(axis: Axes, x: float, y: float, point: ParetoPoint) -> None:
    colour = _BASELINE if point.is_baseline else BLUE
    axis.plot(
        x, y, "D" if point.is_baseline else "o", markersize=7, markeredgecolor=colour, linestyle="none",
        markerfacecolor=colour if point.on_front else "white", zorder=3 if point.is_baseline else 2,
    )  # fmt: skip
    if point.name:
        axis.annotate(point.name, (x, y), xytext=(6, 6), textcoords="offset points", fontsize=8)


def _legend(axis: Axes) -> None:
    shapes = (
        ("D", _BASELINE, _BASELINE, "baseline"),
        ("o", BLUE, BLUE, "on the front"),
        ("o", BLUE, "white", "beaten in everything"),
    )
    for marker, edge, face, label in shapes:
        axis.plot([], [], marker, markeredgecolor=edge, markerfacecolor=face, linestyle="none", label=label)
    axis.legend(frameon=False, fontsize=8, loc="best")
