"""Records in, figures and pages out. No statistics of its own."""

from perturbarena.report.figures import Measure, RocPanel, draw_qq, draw_scores

__all__ = ["Measure", "RocPanel", "draw_qq", "draw_scores"]
