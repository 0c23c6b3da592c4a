from __future__ import annotations

import pytest
from tests.screen.simulated import small_screen

from perturbarena.errors import InputError
from perturbarena.screen import EffectSettings, estimate_effects
from perturbarena.workflows.volcano import volcano_figure


def test_the_strongest_perturbations_are_drawn(tmp_path):
    settings = EffectSettings(controls=None, min_cells=1)
    table = estimate_effects(
        small_screen(), perturbation="pert", control="control", batch="batch", settings=settings
    )
    volcano_figure(tmp_path / "all.svg", table, title="simulated")
    text = (tmp_path / "all.svg").read_text()
    assert all(name in text for name in ("A: 1 gene", "B: ", "C: ", "g0"))
    volcano_figure(tmp_path / "one.svg", table, perturbations=["A"], title="simulated")
    assert "B: " not in (tmp_path / "one.svg").read_text()
    with pytest.raises(InputError, match="no estimates for 'X'"):
        volcano_figure(tmp_path / "x.svg", table, perturbations=["X"], title="simulated")
