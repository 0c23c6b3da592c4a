"""Figures. Everything drawn is handed in: values, bands and intervals are computed elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perturbarena.challenge.formats import atomic
from perturbarena.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE: Final = "#2166ac"
GREY: Final = "#6b7280"
STYLE: Final[dict[Any, Any]] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "svg.hashsalt": "perturbarena",
}
POWER_STYLES: Final[tuple[dict[str, Any], ...]] = (
    {"color": BLUE},
    {"color": GREY, "linestyle": "-"},
    {"color": GREY, "linestyle": (0, (4, 3))},
)
"""Score, DE and DIR."""
FORMATS: Final = (".png", ".svg", ".pdf")


@dataclass(frozen=True, slots=True)
class RocPanel:
    """A ROC curve: true-positive rate over false-positive rate, its 95 % band, all of shape (k,)."""

    title: str
    fpr: np.ndarray
    tpr: np.ndarray
    low: np.ndarray
    high: np.ndarray
    caption: str


@dataclass(frozen=True, slots=True)
class VolcanoPanel:
    """One perturbation: ``log2fc`` and ``strength`` (−log10 FDR), shape (g,), which genes moved, which to name.

    ``named`` holds (name, log2fc, strength) of the genes that carry their names.
    """

    title: str
    log2fc: np.ndarray
    strength: np.ndarray
    moved: np.ndarray
    named: Sequence[tuple[str, float, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """A named curve: ``y`` over ``x``, shape (k,); NaN is left out."""

    name: str
    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the interval panel: a named value on the AUROC scale with its 95 % interval.

    ``value`` is NaN where the measure is undefined; the row is then drawn empty and says so.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DifferencePanel:
    """Differences of one measure: a named line with its interval for each comparison."""

    title: str
    lines: Sequence[Measure]


def draw_scores(path: Path | str, *, curves: Sequence[RocPanel], measures: Sequence[Measure], title: str) -> None:
    """Draw ROC curves with bands and, beside them, every measure with its interval against chance.

    Raises
    ------
    InputError
        If the file name does not end in .png, .svg or .pdf.
    """
    with house_figure(path, title=title, size=(4.0 * len(curves) + 4.2, 4.1)) as figure:
        axes = figure.subplots(1, len(curves) + 1)
        for axis, curve in zip(axes[:-1], curves, strict=True):
            _draw_roc(axis, curve)
        _draw_measures(axes[-1], measures)


def draw_differences(path: Path | str, *, panels: Sequence[DifferencePanel], title: str) -> None:
    """Draw differences with their intervals against 0, a panel a measure, a line a comparison.

    Raises
    ------
    InputError
        As :func:`draw_scores`, or if there is no panel.
    """
    if not panels:
        raise InputError("a figure of differences needs at least one measure; got none")
    lines = max(len(panel.lines) for panel in panels)
    with house_figure(path, title=title, size=(2.6 * len(panels) + 1.6, 1.5 + 0.42 * lines)) as figure:
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for place, (axis, panel) in enumerate(zip(axes, panels, strict=True)):
            _draw_forest(axis, panel, named=place == 0)


def draw_qq(path: Path | str, *, expected: np.ndarray, observed: np.ndarray, title: str) -> None:
    """Draw observed against expected −log10 p, shape (k,), with the diagonal that a true null follows.

    Raises
    ------
    InputError
        As :func:`draw_scores`.
    """
    with house_figure(path, title=title, size=(4.4, 4.4)) as figure:
        axis = figure.subplots()
        top = float(np.max(expected)) * 1.04
        axis.plot([0, top], [0, top], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.plot(expected, observed, "o", color=BLUE, markersize=3)
        axis.set(xlabel="expected −log10 p", ylabel="observed −log10 p", xlim=(0, top))
        axis.set_ylim(bottom=0)


def draw_volcanoes(path: Path | str, *, panels: Sequence[VolcanoPanel], title: str) -> None:
    """Draw a volcano plot for each perturbation, four in a row; the named genes carry their names.

    Raises
    ------
    InputError
        As :func:`draw_scores`, or if there is no panel.
    """
    if not panels:
        raise InputError("a volcano figure needs at least one perturbation; got none")
    columns = min(4, len(panels))
    rows = -(-len(panels) // columns)
    with house_figure(path, title=title, size=(3.3 * columns, 3.0 * rows + 0.3)) as figure:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            _draw_volcano(axis, panel)
        for axis in axes[len(panels) :]:
            axis.set_visible(False)


def _draw_volcano(axis: Axes, panel: VolcanoPanel) -> None:
    for moved, colour, size in ((False, GREY, 5), (True, BLUE, 9)):
        shown = panel.moved == moved
        axis.scatter(panel.log2fc[shown], panel.strength[shown], s=size, color=colour, linewidths=0, alpha=0.75)
    axis.axvline(0, color=GREY, linewidth=0.6)
    for name, x, y in panel.named:
        place = {"ha": "right" if x < 0 else "left", "va": "center", "fontsize": 7}
        axis.annotate(name, (x, y), xytext=(-4 if x < 0 else 4, 0), textcoords="offset points", **place)
    axis.margins(x=0.22, y=0.08)
    axis.set(title=panel.title, xlabel="log2 fold change", ylabel="−log10 FDR")


def draw_power(path: Path | str, *, curves: Sequence[Curve], power: float, title: str) -> None:
    """Draw smallest visible differences over numbers of questions, both on logarithmic axes.

    Raises
    ------
    InputError
        As :func:`draw_scores`.
    """
    with house_figure(path, title=title, size=(5.6, 4.0)) as figure:
        axis = figure.subplots()
        for curve, style in zip(curves, POWER_STYLES, strict=True):
            last = f"{curve.y[-1]:.3f}" if np.isfinite(curve.y[-1]) else "undefined"
            label = f"{curve.name}, all questions: {last}"
            axis.plot(curve.x, curve.y, marker="o", markersize=4, linewidth=1.8, label=label, **style)
        axis.legend(frameon=False, fontsize=8)
        axis.set(xscale="log", yscale="log", xlabel="questions")
        axis.set_ylabel(f"smallest difference seen with {power:.0%} power")
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axis.grid(visible=True, which="both", linewidth=0.3, alpha=0.5)


@contextlib.contextmanager
def house_figure(path: Path | str, *, title: str, size: tuple[float, float]) -> Iterator[Figure]:
    """An empty figure in the house style; it is written when the block ends well."""
    path = Path(path)
    if path.suffix not in FORMATS:
        raise InputError(f"a figure's name ends in {', '.join(FORMATS)}; got {path.name}")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        figure.suptitle(title, x=0.01, ha="left", fontsize=11)
        with atomic(path, binary=True) as file:
            figure.savefig(file, format=path.suffix[1:], dpi=160, metadata=_no_date(path.suffix))


def _draw_roc(axis: Axes, curve: RocPanel) -> None:
    axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.fill_between(curve.fpr, curve.low, curve.high, color=BLUE, alpha=0.18, linewidth=0)
    axis.plot(curve.fpr, curve.tpr, color=BLUE, linewidth=1.8)
    axis.set(
        xlim=(-0.005, 1), ylim=(0, 1.005), aspect="equal", title=curve.title,
        xlabel="false-positive rate", ylabel="true-positive rate",
    )  # fmt: skip
    axis.text(0.97, 0.04, curve.caption, ha="right", va="bottom", transform=axis.transAxes)


def _draw_measures(axis: Axes, measures: Sequence[Measure]) -> None:
    axis.axvline(0.5, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    for row, measure in enumerate(reversed(measures)):
        if np.isfinite(measure.value):
            axis.plot([measure.low, measure.high], [row, row], color=BLUE, linewidth=2, solid_capstyle="round")
            axis.plot(measure.value, row, "o", color=BLUE, markersize=6)
            label = f"{measure.value:.3f}"
        else:
            label = "undefined"
        axis.text(1.02, row, label, va="center", transform=axis.get_yaxis_transform())
    bounds = [m.low for m in measures] + [m.high for m in measures] + [0.45, 0.55]
    axis.set(
        xlim=(np.nanmin(bounds) - 0.02, np.nanmax(bounds) + 0.02), ylim=(-0.6, len(measures) - 0.4),
        yticks=range(len(measures)), yticklabels=[m.name for m in reversed(measures)],
        xlabel="AUROC (0.5 = chance)", title="With 95 % intervals",
    )  # fmt: skip
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def _draw_forest(axis: Axes, panel: DifferencePanel, *, named: bool) -> None:
    axis.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    for row, line in enumerate(reversed(panel.lines)):
        if np.isfinite(line.value) and np.isfinite(line.low):
            colour = BLUE if line.low > 0 or line.high < 0 else GREY
            axis.plot([line.low, line.high], [row, row], color=colour, linewidth=2, solid_capstyle="round")
            axis.plot(line.value, row, "o", color=colour, markersize=6)
            text = f"{line.value:+.3f}"
        else:
            text = "undefined"
        axis.annotate(text, (0.99, row), xycoords=axis.get_yaxis_transform(), xytext=(0, 7),
                      textcoords="offset points", ha="right", fontsize=8)  # fmt: skip
    bounds = [abs(x) for line in panel.lines for x in (line.low, line.high) if np.isfinite(x)]
    reach = 1.12 * max(bounds, default=0.05) or 0.05
    axis.set(
        xlim=(-reach, reach), ylim=(-0.6, len(panel.lines) - 0.3), yticks=range(len(panel.lines)),
        yticklabels=[line.name for line in reversed(panel.lines)] if named else [],
        xlabel="difference, 95 % interval", title=panel.title,
    )  # fmt: skip
    axis.locator_params(axis="x", nbins=5)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)


def _no_date(suffix: str) -> dict[str, str | None]:
    """The same input must give the same bytes, so the writing time is left out."""
    return {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}[suffix]
