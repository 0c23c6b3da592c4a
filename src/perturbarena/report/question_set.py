"""Figures of a question set, for its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.challenge.records import DOWN, NONE, UP
from perturbarena.report.figures import BLUE, GREY, house_figure

RED: Final = "#b2182b"
PALE: Final = "#c9ced6"
COLOURS: Final = {UP: RED, DOWN: BLUE, NONE: PALE}
SIZE: Final = (5.6, 3.0)
BINS: Final = 60
MIN_REACH: Final = 1.0
LABEL_FROM: Final = 0.06
"""A bar's part narrower than this share has no room for its number."""
TALLEST: Final = 30
"""Distinct numbers of rows up to which each has its own bar."""


def draw_moved_genes(path: Path | str, *, up: np.ndarray, down: np.ndarray, title: str) -> None:
    """Genes going up and down at each perturbation, shape (k,), ordered by their sum."""
    order = np.argsort(-(up + down), kind="stable")
    x = np.arange(len(order))
    with house_figure(path, title=title, size=SIZE) as figure:
        axis = figure.subplots()
        axis.bar(x, up[order], width=1.0, color=RED, linewidth=0)
        axis.bar(x, -down[order], width=1.0, color=BLUE, linewidth=0)
        axis.axhline(0, color=GREY, linewidth=0.6)
        axis.set(xlim=(-0.5, len(x) - 0.5), xlabel="perturbations, strongest first", ylabel="genes moved")
        axis.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
        median = int(np.median(up + down))
        axis.text(
            0.99, 0.95, f"up\nmedian {median:,} moved", ha="right", va="top", transform=axis.transAxes, color=RED
        )
        axis.text(0.99, 0.06, "down", ha="right", va="bottom", transform=axis.transAxes, color=BLUE)


def draw_log2fc(path: Path | str, *, log2fc: Mapping[str, np.ndarray], title: str) -> None:
    """Distributions of shrunken log2 fold changes, one for each label."""
    values = np.concatenate(list(log2fc.values()))
    reach = float(np.max(np.abs(values), initial=MIN_REACH))
    edges = np.linspace(-reach, reach, BINS + 1)
    with house_figure(path, title=title, size=SIZE) as figure:
        axis = figure.subplots()
        for label in (NONE, DOWN, UP):
            told = f"{label} ({len(log2fc[label]):,})"
            axis.hist(log2fc[label], bins=edges.tolist(), color=COLOURS[label], label=told)
        axis.set(xlabel="shrunken log2 fold change", ylabel="questions", xlim=(-reach, reach))
        axis.legend(frameon=False, loc="upper right")


def draw_label_mix(path: Path | str, *, mix: Mapping[str, Mapping[str, int]], title: str) -> None:
    """One bar a split, parted by label; each part carries its share."""
    names = list(mix)
    with house_figure(path, title=title, size=(SIZE[0], 0.5 * len(names) + 1.1)) as figure:
        axis = figure.subplots()
        for row, name in enumerate(reversed(names)):
            total, left = sum(mix[name].values()), 0.0
            for label in (UP, DOWN, NONE):
                share = mix[name][label] / total
                axis.barh(row, share, left=left, height=0.62, color=COLOURS[label], linewidth=0)
                if share >= LABEL_FROM:
                    colour = "white" if label != NONE else "#374151"
                    axis.text(
                        left + share / 2, row, f"{label} {share:.0%}", ha="center", va="center", color=colour
                    )
                left += share
        labels = [f"{name}\n{sum(mix[name].values()):,} rows" for name in reversed(names)]
        axis.set(
            xlim=(0, 1), ylim=(-0.5, len(names) - 0.5), yticks=range(len(names)), yticklabels=labels, xticks=[]
        )
        axis.tick_params(axis="y", length=0)
        for side in ("left", "bottom"):
            axis.spines[side].set_visible(False)


def draw_rows_per_gene(path: Path | str, *, rows: Mapping[str, np.ndarray], title: str) -> None:
    """How many genes have 1, 2, … rows, one panel a part of the question set."""
    with house_figure(path, title=title, size=SIZE) as figure:
        axes = figure.subplots(1, len(rows), squeeze=False).ravel()
        for axis, (name, counts) in zip(axes, rows.items(), strict=True):
            if counts.max() <= TALLEST:
                values, n = np.unique(counts, return_counts=True)
                axis.bar(values, n, width=0.8, color=BLUE)
                axis.set_xlim(0.3, max(counts.max(), 5) + 0.7)
            else:
                axis.hist(counts, bins=TALLEST, color=BLUE)
            axis.xaxis.get_major_locator().set_params(integer=True)
            axis.set(title=f"{name}: {len(counts):,} genes", xlabel="rows of a gene", ylabel="genes")
