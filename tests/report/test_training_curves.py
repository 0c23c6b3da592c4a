"""The figure of a training's course."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.report import Curve, draw_training_curves


def test_curves_are_drawn_with_their_last_values_and_the_same_bytes_twice(tmp_path):
    steps = np.arange(5.0)
    panels = [
        ("Loss on training rows", [Curve("loss", steps, 1 / (1 + steps))]),
        ("AUROC on rows held back", [Curve("DE", steps, 0.5 + steps / 10), Curve("DIR", steps, 0.5 + steps / 20)]),
    ]
    for name in ("a.svg", "b.svg"):
        draw_training_curves(tmp_path / name, panels, title="SFT")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert len((tmp_path / "a.svg").read_text(encoding="utf-8")) > 5000
    with pytest.raises(InputError, match="name ends in"):
        draw_training_curves(tmp_path / "a.gif", panels, title="SFT")
