"""Figures of candidates and of shifts: drawn, the same bytes again, and told where there is nothing to draw."""

from __future__ import annotations

import pytest

from perturbarena.errors import InputError
from perturbarena.report import ParetoPoint, ShiftBar, ShiftPanel, draw_pareto, draw_shifts


def test_candidates_are_drawn_and_an_empty_figure_is_refused(tmp_path):
    points = [
        ParetoPoint(0.6, 0.6, 200, on_front=True, is_baseline=True),
        ParetoPoint(0.7, 0.65, 240, on_front=True, name="best here"),
        ParetoPoint(0.55, 0.5, 260, on_front=False),
    ]
    for name in ("a.svg", "b.svg"):
        draw_pareto(tmp_path / name, points=points, title="3 prompts")
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert points[1].score == pytest.approx(0.675)
    with pytest.raises(InputError, match="at least one"):
        draw_pareto(tmp_path / "c.svg", points=[], title="")
    assert not (tmp_path / "c.svg").exists()


def test_shifts_are_drawn_and_empty_panels_left_out(tmp_path):
    panels = [
        ShiftPanel("Without a path", []),
        ShiftPanel("Without a block", [ShiftBar("expression", -0.1, 0.2), ShiftBar("paths", 0.0, 0.0)]),
    ]
    draw_shifts(tmp_path / "s.png", panels=panels, title="Knock out A")
    assert (tmp_path / "s.png").stat().st_size > 5_000
    with pytest.raises(InputError, match="at least one"):
        draw_shifts(tmp_path / "t.png", panels=panels[:1], title="")
