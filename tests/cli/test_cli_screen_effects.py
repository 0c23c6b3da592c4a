from __future__ import annotations

import json

import numpy as np
import pytest
from tests.screen.simulated import small_screen

from perturbarena.cli import run
from perturbarena.screen import read_effect_table

COLUMNS = ["--perturbation", "pert", "--control", "control", "--batch", "batch"]


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    path = tmp_path_factory.mktemp("screen") / "screen.h5ad"
    small_screen().write_h5ad(path)
    return str(path)


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_effects_with_every_cell_and_gene(screen, tmp_path, capsys, suffix):
    out = str(tmp_path / f"effects.{suffix}")
    options = ["--controls", "all", "--genes", "all", "--min-cells", "1"]
    assert run(["screen", "effects", screen, "-o", out, *COLUMNS, *options]) == 0
    assert "3 of 3 perturbations × 150 genes, against 300 control cells" in capsys.readouterr().out
    table = read_effect_table(out)
    assert list(table.obs_names) == ["A", "B", "C"]
    assert list(table.var_names) == [f"g{i}" for i in range(150)]
    assert np.isfinite(table.layers["log2fc_shrunk"]).all()


def test_effects_as_json_name_what_was_left_out(screen, tmp_path, capsys):
    out = str(tmp_path / "effects.h5ad")
    assert run(["screen", "effects", screen, "-o", out, *COLUMNS, "--min-cells", "61", "--json"]) == 2
    refused = json.loads(capsys.readouterr().out)["error"]
    assert "no perturbation can be estimated; A: too few cells: 60, at least 61 needed" in refused
    assert not (tmp_path / "effects.h5ad").exists()
    assert run(["screen", "effects", screen, "-o", out, *COLUMNS, "--controls", "90", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["estimated"] == 3
    assert summary["control_cells"] == 90
    assert summary["left_out"] == {}


def test_null_prints_its_table(screen, tmp_path, capsys):
    figure = tmp_path / "qq.png"
    command = ["screen", "null", screen, *COLUMNS, "--null-unit", "guide", "--nulls", "12", "--controls", "all"]
    assert run([*command, "--json", "--figure", str(figure)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["nulls"] == 12
    assert sum(result["significant"].values()) == 12
    assert figure.exists()
    assert run(command) == 0
    assert "empirical FDR" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--controls", "many"], "--controls takes a positive number or all; got 'many'"),
        (["--flavor", "cell_ranger"], "flavor: Input should be 'seurat_v3' or 'seurat'"),
        (["--prior", "horseshoe"], "prior: Input should be"),
        (["--batch", "lane"], "no column 'lane'"),
    ],
)
def test_wrong_options_are_named(screen, tmp_path, capsys, option, message):
    assert run(["screen", "effects", screen, "-o", str(tmp_path / "e.h5ad"), *COLUMNS, *option]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_output_must_be_a_table(screen, tmp_path, capsys):
    assert run(["screen", "effects", screen, "-o", str(tmp_path / "effects.csv"), *COLUMNS]) == 2
    assert "ends in .h5ad or .zarr" in capsys.readouterr().err
