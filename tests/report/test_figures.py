from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.report import Measure, RocPanel, draw_scores

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
