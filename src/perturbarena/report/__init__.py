"""Records in, figures and pages out. No statistics of its own."""

from perturbarena.report.figures import (
    Curve,
    Measure,
    RocPanel,
    VolcanoPanel,
    draw_power,
    draw_qq,
    draw_scores,
    draw_volcanoes,
)
from perturbarena.report.forest import ForestLine, ForestPanel, draw_forest
from perturbarena.report.page import render_page
from perturbarena.report.page_record import Page, RunSection

__all__ = [
    "Curve",
    "ForestLine",
    "ForestPanel",
    "Measure",
    "Page",
    "RocPanel",
    "RunSection",
    "VolcanoPanel",
    "draw_forest",
    "draw_power",
    "draw_qq",
    "draw_scores",
    "draw_volcanoes",
    "render_page",
]
