"""Small figures that stand in a page: SVG in its text, in the page's own colours and type.

matplotlib draws with four marker colours, which are then replaced by the page's CSS variables, so that a figure
follows dark and light. Text stays text. Panels are narrow, so that nothing has to shrink on a telephone.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from perturbarena.report.campaign_figures import BandCurve, ExpectedPanel
from perturbarena.report.figures import STYLE, RocPanel
from perturbarena.report.page_record import HistogramPanel, ReliabilityPanel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, ACCENT, RULE = "#010203", "#040506", "#070809", "#0a0b0c"
VARIABLES: Final = {INK: "var(--ink)", MUTED: "var(--muted)", ACCENT: "var(--accent)", RULE: "var(--rule)"}
SIZE: Final = (3.35, 3.1)
"""Inches; a point is then about 1.1 px in a telephone's column."""
LOW: Final = (3.35, 1.9)
_PAGE_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.linewidth": 0.7,
    "font.size": 8.5,
    "axes.labelsize": 8.5,
}


class Drawing:
    """A figure under way: its axes, and its SVG once the block has ended."""

    def __init__(self, axis: Axes) -> None:
        self.axis = axis
        self.svg = ""


def roc_svg(panel: RocPanel, key: str) -> str:
    """A ROC curve with its band; ``key`` makes the figure's ids its own within the page."""
    with _drawing(key, title=f"ROC curve, {panel.title}", description=panel.caption) as drawing:
        axis = drawing.axis
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.fill_between(panel.fpr, panel.low, panel.high, color=ACCENT, alpha=0.16, linewidth=0)
        axis.plot(panel.fpr, panel.tpr, color=ACCENT, linewidth=1.8)
        axis.set(xlim=(0, 1), ylim=(0, 1.01), xlabel="false-positive rate", ylabel="true-positive rate")
        _unit_ticks(axis)
    return drawing.svg


def reliability_svg(panel: ReliabilityPanel, key: str) -> str:
    """Observed frequency over stated probability; a dot's area goes with the rows of its bin."""
    with _drawing(key, title=f"Reliability, {panel.title}", description=panel.caption) as drawing:
        axis = drawing.axis
        axis.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.vlines(panel.stated, panel.low, panel.high, color=ACCENT, linewidth=1.4)
        area = 12 + 130 * panel.n / max(int(np.sum(panel.n)), 1)
        axis.scatter(panel.stated, panel.happened, s=area, color=ACCENT, linewidths=0, zorder=3)
        axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="stated probability", ylabel="came true")
        _unit_ticks(axis)
    return drawing.svg


def histogram_svg(panel: HistogramPanel, key: str) -> str:
    """Counts as bars."""
    with _drawing(key, title=panel.title, description=panel.caption, size=LOW) as drawing:
        axis, width = drawing.axis, np.diff(panel.edges)
        axis.bar(panel.edges[:-1] + width / 2, panel.counts, width=0.92 * width, color=ACCENT, linewidth=0)
        axis.set(xlabel=panel.xlabel, ylabel="questions", xlim=(panel.edges[0], panel.edges[-1]))
        axis.locator_params(axis="y", nbins=4, integer=True)
        axis.locator_params(axis="x", nbins=5)
        axis.ticklabel_format(useOffset=False, style="plain")
        for way in (axis.xaxis, axis.yaxis):
            way.set_major_formatter("{x:,.3g}" if panel.edges[-1] <= 1 and way is axis.xaxis else "{x:,.0f}")
    return drawing.svg


def expected_svg(panel: ExpectedPanel, key: str) -> str:
    """Values seen over values expected, with one standard deviation; the named ones carry their names."""
    said = f"{len(panel.names)} knockouts; a hit is {panel.hit_above:.2f} or more"
    with _drawing(key, title=panel.title, description=said) as drawing:
        axis = drawing.axis
        ends = [
            float(min(panel.expected.min(), panel.seen.min())),
            float(max(panel.expected.max(), panel.seen.max())),
        ]
        axis.plot(ends, ends, color=MUTED, linewidth=0.8, linestyle=(0, (4, 3)))
        axis.axhline(panel.hit_above, color=MUTED, linewidth=0.8)
        axis.hlines(
            panel.seen,
            panel.expected - panel.sd,
            panel.expected + panel.sd,
            color=ACCENT,
            linewidth=0.8,
            alpha=0.4,
        )
        axis.scatter(panel.expected, panel.seen, s=18, color=ACCENT, linewidths=0, zorder=3)
        for i in panel.named:
            place = (panel.expected[i], panel.seen[i])
            axis.annotate(panel.names[i], place, xytext=(4, 3), textcoords="offset points", fontsize=7.5)
        axis.set(xlabel="value expected, ± 1 sd", ylabel="value seen")
        axis.margins(0.1)
    return drawing.svg


def progress_svg(curves: Sequence[BandCurve], key: str, *, title: str, xlabel: str, ylabel: str) -> str:
    """Curves over knockouts measured; the plain one is dashed."""
    said = "; ".join(f"{c.name}: {c.y[-1]:.3g} at the end" for c in curves)
    with _drawing(key, title=title, description=said) as drawing:
        axis = drawing.axis
        for curve in curves:
            style: dict[str, Any] = {"color": ACCENT, "marker": "o", "markersize": 3.5}
            if curve.plain:
                style = {"color": MUTED, "linestyle": (0, (4, 3))}
            axis.plot(curve.x, curve.y, linewidth=1.6, label=curve.name, **style)
        axis.set(xlabel=xlabel, ylabel=ylabel)
        axis.set_ylim(bottom=0)
        axis.legend(frameon=False, fontsize=7.5)
    return drawing.svg


@contextlib.contextmanager
def _drawing(key: str, *, title: str, description: str, size: tuple[float, float] = SIZE) -> Iterator[Drawing]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE | _PAGE_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        drawing = Drawing(figure.subplots())
        drawing.axis.grid(visible=True, color=RULE, linewidth=0.7)
        drawing.axis.set_axisbelow(True)
        yield drawing
        file = io.StringIO()
        no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=no_metadata)
    drawing.svg = _into_page(file.getvalue(), key, title=title, description=description)


def _unit_ticks(axis: Axes) -> None:
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])


def _into_page(svg: str, key: str, *, title: str, description: str) -> str:
    """matplotlib's file → an element with a name, ids of its own, and the page's colours and type."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([^"]+)"', body)
    assert box is not None, "matplotlib writes a viewBox"
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = body[body.index(">") + 1 :]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{key}-", body)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "inherit", body)
    body = re.sub(r"font: ([\d.]+px) inherit", r"font-size: \1", body)
    for colour, variable in VARIABLES.items():
        body = body.replace(colour, variable)
    head = (
        f'<svg class="figure" viewBox="{box[1]}" role="img" aria-labelledby="{key}-title {key}-desc" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{key}-title">{escape(title)}</title><desc id="{key}-desc">{escape(description)}</desc>'
    )
    return head + body.strip()
