from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.report import Measure, RocPanel, VolcanoPanel, draw_scores, draw_volcanoes

FPR = np.linspace(0, 1, 11)
CURVE = RocPanel("DE", FPR, FPR**0.5, FPR**0.6, FPR**0.4, "0.700 [0.650, 0.750]")
MEASURES = [Measure("DE", 0.7, 0.65, 0.75), Measure("within genes", float("nan"), float("nan"), float("nan"))]


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_same_input_gives_the_same_bytes(tmp_path, suffix):
    files = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for file in files:
        draw_scores(file, curves=[CURVE, CURVE], measures=MEASURES, title="A title")
    assert files[0].read_bytes() == files[1].read_bytes()
    assert files[0].stat().st_size > 5000


def test_an_undefined_measure_is_named(tmp_path):
    draw_scores(tmp_path / "a.svg", curves=[CURVE], measures=MEASURES, title="A title")
    assert "undefined" in (tmp_path / "a.svg").read_text()


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        draw_scores(tmp_path / "a.bmp", curves=[CURVE], measures=MEASURES, title="A title")
    assert not list(tmp_path.iterdir())


def test_volcanoes_name_the_genes_that_stand_out(tmp_path):
    log2fc = np.array([-2.0, 0.1, 1.5])
    strength = np.array([30.0, 0.2, 12.0])
    panel = VolcanoPanel("Stat1: 2 genes", log2fc, strength, strength > 1, [("Irf1", -2.0, 30.0)])
    draw_volcanoes(tmp_path / "v.svg", panels=[panel] * 5, title="A screen")
    text = (tmp_path / "v.svg").read_text()
    assert text.count("Irf1") >= 5
    with pytest.raises(InputError, match="at least one perturbation"):
        draw_volcanoes(tmp_path / "w.svg", panels=[], title="none")
