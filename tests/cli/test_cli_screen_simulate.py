from __future__ import annotations

import inspect
import json

import anndata as ad
import pytest

from perturbarena.cli import run
from perturbarena.cli.screen_simulate import simulate
from perturbarena.screen import SimulationSettings

SMALL = ["--perturbations", "5", "--genes", "120", "--control-cells", "200", "--counts-per-gene", "2"]


def test_simulate_then_effects(tmp_path, capsys):
    out = str(tmp_path / "sim.h5ad")
    options = [*SMALL, "--cells-per-perturbation", "60", "--seed", "3"]
    assert run(["screen", "simulate", "-o", out, *options, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["cells"] == 500
    assert summary["truth"] == str(tmp_path / "sim.truth.h5ad")
    assert set(ad.read_h5ad(out).obs) == {"perturbation", "guide", "batch"}
    effects = str(tmp_path / "effects.h5ad")
    assert run(["screen", "effects", out, "-o", effects, "--batch", "batch", "--guide", "guide"]) == 0
    assert "5 of 5 perturbations × 120 genes" in capsys.readouterr().out


def test_same_seed_same_bytes(tmp_path):
    for name in ("a", "b"):
        assert run(["screen", "simulate", "-o", str(tmp_path / f"{name}.h5ad"), *SMALL, "--seed", "1"]) == 0
    assert (tmp_path / "a.h5ad").read_bytes() == (tmp_path / "b.h5ad").read_bytes()
    assert (tmp_path / "a.truth.h5ad").read_bytes() == (tmp_path / "b.truth.h5ad").read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-o", "sim.zarr"], "a simulated screen's name ends in .h5ad; got sim.zarr"),
        (["-o", "sim.h5ad", "--genes", "3"], "--genes: Input should be greater than or equal to 20; got 3"),
        (["-o", "sim.h5ad", "--control-cells", "30"], "40 control guides need at least as many control cells"),
    ],
)
def test_what_cannot_be_simulated(tmp_path, monkeypatch, capsys, options, message):
    monkeypatch.chdir(tmp_path)
    assert run(["screen", "simulate", *options]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_options_left_out_are_the_settings_defaults():
    given = inspect.signature(simulate).parameters
    defaults = SimulationSettings()
    names = set(given) & set(SimulationSettings.model_fields)
    assert len(names) == 7
    assert {name: given[name].default for name in names} == {name: getattr(defaults, name) for name in names}
