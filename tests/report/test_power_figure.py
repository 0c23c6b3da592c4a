from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.report import Curve, draw_power

X = np.array([50.0, 100.0, 1800.0])
CURVES = [
    Curve("Score", X, np.array([0.3, 0.2, 0.05])),
    Curve("DE", X, np.array([0.3, 0.2, 0.044])),
    Curve("DIR", X, np.full(3, np.nan)),
]


def test_same_input_gives_the_same_bytes(tmp_path):
    files = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for file in files:
        draw_power(file, curves=CURVES, power=0.8, title="A title")
    assert files[0].read_bytes() == files[1].read_bytes()
    text = files[0].read_text()
    assert "DE, all questions: 0.044" in text
    assert "DIR, all questions: undefined" in text


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.png, \.svg, \.pdf"):
        draw_power(tmp_path / "a.bmp", curves=CURVES, power=0.8, title="A title")
