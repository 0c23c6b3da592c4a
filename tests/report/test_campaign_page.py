"""The campaign's page and figures: what is hostile is escaped, what is undefined is a dash, files are what
they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.report import (
    BandCurve,
    CampaignPage,
    CurvePanel,
    ExpectedPanel,
    HypothesisRow,
    RoundRow,
    draw_curves,
    draw_expected,
    render_campaign,
)

NAN = float("nan")
HOSTILE = "<img src=x onerror=alert(1)>"
X = np.array([10.0, 20.0, 30.0])
CURVES = [
    BandCurve("found", X, np.array([1.0, 2, 4]), X * NAN, X * NAN),
    BandCurve("chance", X, X / 10, X / 20, X / 5, plain=True),
]
PANEL = ExpectedPanel(
    title="Round 1",
    names=["A", HOSTILE],
    expected=np.array([0.1, 0.2]),
    sd=np.array([0.1, 0.1]),
    seen=np.array([0.3, 0.0]),
    hit_above=0.25,
    named=[1],
)
PAGE = CampaignPage(
    title=HOSTILE, lead="Two rounds.", facts=[("aim", "hits")], notices=["1 knockout failed"], progress=CURVES,
    rounds=[RoundRow(0, "measured before", 0, 10, 0, 0, 1, NAN, 0, NAN, 0, 0, NAN),
            RoundRow(1, "hit", 10, 5, 5, 0, 2, 1.5, 3, 0.25, 1, 1, 0.31)],
    panels=[PANEL],
    hypotheses=[HypothesisRow(1, HOSTILE, NAN, 0.3, 0.1, True, "Il6 ↑", "1 as said", "borne out", HOSTILE)],
    surprises=[(1, "A", 0.3, 0.1, 2.0, NAN)], made=[("perturbarena", "0")],
)  # fmt: skip


def test_the_page_shows_everything_and_executes_nothing():
    text = render_campaign(PAGE)
    assert "<img" not in text
    assert "<script" not in text
    assert text.count("&lt;img") >= 3
    assert "default-src 'none'" in text
    assert "nan" not in text.lower()
    assert "25\N{NARROW NO-BREAK SPACE}%" in text
    assert text == render_campaign(PAGE)


def test_an_empty_campaign_has_a_page():
    bare = dataclasses.replace(PAGE, rounds=[], panels=[], hypotheses=[], surprises=[], progress=[], notices=[])
    text = render_campaign(bare)
    assert "Surprises" not in text
    assert "Rounds" in text


def test_figures_are_written(tmp_path):
    draw_curves(tmp_path / "c.png", panels=[CurvePanel("Hits", "hits", CURVES)], title="t")
    draw_expected(tmp_path / "e.svg", panels=[PANEL] * 5, title="t")
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "e.svg").read_text()
    for draw in (draw_curves, draw_expected):
        with pytest.raises(InputError, match="at least one"):
            draw(tmp_path / "x.png", panels=[], title="t")
