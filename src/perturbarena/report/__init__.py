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

__all__ = [
    "Curve",
    "Measure",
    "RocPanel",
    "VolcanoPanel",
    "draw_power",
    "draw_qq",
    "draw_scores",
    "draw_volcanoes",
]
