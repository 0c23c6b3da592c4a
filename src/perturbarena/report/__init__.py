"""Records in, figures and pages out. No statistics of its own."""

from perturbarena.report.figures import (
    Measure,
    RocPanel,
    VolcanoPanel,
    draw_qq,
    draw_scores,
    draw_volcanoes,
)
from perturbarena.report.forest import ForestLine, ForestPanel, draw_forest

__all__ = [
    "ForestLine",
    "ForestPanel",
    "Measure",
    "RocPanel",
    "VolcanoPanel",
    "draw_forest",
    "draw_qq",
    "draw_scores",
    "draw_volcanoes",
]
