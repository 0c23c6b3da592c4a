"""Records in, figures and pages out. No statistics of its own."""

from perturbarena.report.figures import (
    ForestPanel,
    Measure,
    RocPanel,
    VolcanoPanel,
    draw_differences,
    draw_qq,
    draw_scores,
    draw_volcanoes,
)

__all__ = [
    "ForestPanel",
    "Measure",
    "RocPanel",
    "VolcanoPanel",
    "draw_differences",
    "draw_qq",
    "draw_scores",
    "draw_volcanoes",
]
