from __future__ import annotations

import json

import numpy as np
import pytest
from tests.screen.simulated import small_screen

from perturbarena.cli import run

COLUMNS = ["--perturbation", "pert", "--control", "control", "--batch", "batch", "--guide", "guide"]


@pytest.fixture(scope="module")
def adata():
    return small_screen()


@pytest.fixture
def file(adata, tmp_path):
    path = tmp_path / "screen.h5ad"
    adata.write_h5ad(path)
    return str(path)


def test_the_report_for_people(file, capsys):
    assert run(["screen", "check", file, *COLUMNS, "--strict"]) == 0
    out = capsys.readouterr().out
    assert "480 × 150 genes" in out
    assert "300 cells control, 8 guides" in out
    assert "raw: integers from 0 to" in out
    assert "one guide only" in out
    assert "ready for screen effects; 2 to know" in out


def test_what_was_found_is_said(file, capsys):
    assert run(["screen", "check", file]) == 0
    assert "--perturbation\u00a0pert\u00a0(found)" in capsys.readouterr().out


def test_json_is_one_object_without_nan(file, capsys):
    assert run(["screen", "check", file, *COLUMNS, "--json"]) == 0
    report = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert report["ok"] is True
    assert report["columns"]["perturbation"] == "pert"
    assert [p["perturbation"] for p in report["perturbations"]] == ["A", "B", "C"]
    assert {f["level"] for f in report["findings"]} == {"note"}


def test_strict_exits_with_one_when_something_is_wrong(adata, tmp_path, capsys):
    wrong = adata.copy()
    wrong.obs["batch"] = np.where(wrong.obs["pert"] == "B", "[b9]", wrong.obs["batch"])
    wrong.write_h5ad(tmp_path / "wrong.h5ad")
    command = ["screen", "check", str(tmp_path / "wrong.h5ad"), *COLUMNS]
    assert run(command) == 0
    out = capsys.readouterr().out
    assert "B is confounded with the batch: all its cells lie in [b9]" in out
    assert "1 to put right before estimating effects" in out
    assert run([*command, "--strict"]) == 1
    assert run([*command, "--strict", "--json"]) == 1


def test_a_wrong_input_is_one_line(file, capsys):
    assert run(["screen", "check", file, "--perturbation", "perts", "--json"]) == 2
    told = capsys.readouterr()
    assert "no column 'perts' (--perturbation); it has pert, guide, batch" in json.loads(told.out)["error"]
    assert told.err.count("\n") == 1
