"""Records in, figures and pages out. No statistics of its own."""

from perturbarena.report.campaign_figures import (
    BandCurve,
    CurvePanel,
    ExpectedPanel,
    draw_curves,
    draw_expected,
)
from perturbarena.report.campaign_page import CampaignPage, HypothesisRow, RoundRow, render_campaign
from perturbarena.report.explanation import ShiftBar, ShiftPanel, draw_shifts
from perturbarena.report.figures import (
    Curve,
    DifferencePanel,
    Measure,
    RocPanel,
    VolcanoPanel,
    draw_differences,
    draw_power,
    draw_qq,
    draw_scores,
    draw_volcanoes,
)
from perturbarena.report.forest import ForestLine, ForestPanel, draw_forest
from perturbarena.report.page import render_page
from perturbarena.report.page_record import Page, RunSection
from perturbarena.report.pareto import ParetoPoint, draw_pareto
from perturbarena.report.question_set import (
    draw_label_mix,
    draw_log2fc,
    draw_moved_genes,
    draw_rows_per_gene,
)
from perturbarena.report.training_curves import draw_training_curves

__all__ = [
    "BandCurve",
    "CampaignPage",
    "Curve",
    "CurvePanel",
    "DifferencePanel",
    "ExpectedPanel",
    "ForestLine",
    "ForestPanel",
    "HypothesisRow",
    "Measure",
    "Page",
    "ParetoPoint",
    "RocPanel",
    "RoundRow",
    "RunSection",
    "ShiftBar",
    "ShiftPanel",
    "VolcanoPanel",
    "draw_curves",
    "draw_differences",
    "draw_expected",
    "draw_forest",
    "draw_label_mix",
    "draw_log2fc",
    "draw_moved_genes",
    "draw_pareto",
    "draw_power",
    "draw_qq",
    "draw_rows_per_gene",
    "draw_scores",
    "draw_shifts",
    "draw_training_curves",
    "draw_volcanoes",
    "render_campaign",
    "render_page",
]
