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


def test_shards_leave_the_table_to_the_plain_command(screen, tmp_path, capsys):
    command = ["screen", "effects", screen, "-o", str(tmp_path / "e.h5ad"), *COLUMNS, "--json"]
    for i in (1, 2):
        assert run([*command, "--shard", f"{i}/2"]) == 0
        assert json.loads(capsys.readouterr().out) == {"shard": f"{i}/2", "missing": 0, "total": 3}
    assert run([*command[:-1], "--shard", "1/2"]) == 0
    assert "the command without --shard puts them together" in capsys.readouterr().out
    assert not (tmp_path / "e.h5ad").exists()
    assert run(command) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["e.h5ad"]


def test_null_takes_an_effect_table_and_shards(screen, tmp_path, capsys):
    table, out = str(tmp_path / "e.h5ad"), tmp_path / "null.json"
    assert run(["screen", "effects", screen, "-o", table, *COLUMNS, "--json"]) == 0
    plain = ["screen", "null", screen, *COLUMNS, "--nulls", "6", "--json"]
    assert run(plain) == 0
    expected = json.loads(capsys.readouterr().out.splitlines()[-1])
    command = [*plain, "--effects", table, "-o", str(out)]
    assert run([*command, "--shard", "1/1"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shard": "1/1", "missing": 0, "total": 6}
    assert run(command) == 0
    assert json.loads(out.read_text()) == expected
    assert run([*command, "--controls", "50"]) == 2
    assert "made with --controls 2000, this calibration has 50" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.h5ad", "null.json"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--cluster", "tcp://127.0.0.1:1"], "no Dask scheduler answers at tcp://127.0.0.1:1 within 1 s"),
        (["--cluster", "nowhere"], "looks like tcp://host:8786; got 'nowhere'"),
        (["--cluster", "nowhere", "--workers", "2"], "--workers and --cluster are two ways of running; give one"),
        (["--shard", "4/3"], "needs 1 ≤ i ≤ n; got 4/3"),
    ],
)
def test_where_it_cannot_run_is_one_line(screen, tmp_path, capsys, monkeypatch, option, message):
    pytest.importorskip("distributed")
    monkeypatch.setattr("perturbarena.screen.cluster.CONNECT_SECONDS", 1)
    assert run(["screen", "effects", screen, "-o", str(tmp_path / "e.h5ad"), *COLUMNS, *option]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


def test_a_shard_of_nulls_needs_an_output(screen, capsys):
    assert run(["screen", "null", screen, *COLUMNS, "--shard", "1/2"]) == 2
    assert "give --output" in capsys.readouterr().err


@pytest.mark.slow  # two processes start and load everything
def test_two_processes_write_the_same_file(screen, tmp_path):
    pytest.importorskip("distributed")
    one, two = tmp_path / "one.h5ad", tmp_path / "two.h5ad"
    assert run(["screen", "effects", screen, "-o", str(one), *COLUMNS, "--workers", "1"]) == 0
    assert run(["screen", "effects", screen, "-o", str(two), *COLUMNS, "--local-workers", "2"]) == 0
    assert one.read_bytes() == two.read_bytes()
