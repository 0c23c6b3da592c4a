"""Records in, figures and pages out. No statistics of its own."""

from perturbarena.report.figures import (
    Measure,
    RocPanel,
    VolcanoPanel,
    draw_qq,
    draw_scores,
    draw_volcanoes,
)

__all__ = ["Measure", "RocPanel", "VolcanoPanel", "draw_qq", "draw_scores", "draw_volcanoes"]
