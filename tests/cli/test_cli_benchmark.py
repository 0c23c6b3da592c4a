"""``perturbarena benchmark audit`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perturbarena.benchmark import simulate_questions
from perturbarena.challenge.formats import write_labelled
from perturbarena.cli import run


@pytest.fixture
def fair(tmp_path: Path) -> Path:
    simulated = simulate_questions(np.random.default_rng(0), n_perts=40, n_genes=90, n_questions=600)
    write_labelled(tmp_path / "fair.csv", simulated.questions)
    return tmp_path / "fair.csv"


def test_json(fair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "audit", str(fair), "--strict", "--resamples", "100", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert {"attack", "target", "auroc", "interval", "verdict"} <= set(findings[0])
    assert {f["target"] for f in findings} == {"DE", "DIR"}
    assert {f["verdict"] for f in findings} <= {"leak", "clean", "cannot tell"}


def test_a_leak_fails_only_under_strict(fair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header, *lines = fair.read_text().splitlines()
    fair.write_text("\n".join([header, *lines, lines[0]]) + "\n")
    assert run(["benchmark", "audit", str(fair), "--resamples", "100"]) == 0
    out = capsys.readouterr().out
    assert "proportional fitting" in out
    assert "duplicated questions" in " ".join(out.split())
    assert run(["benchmark", "audit", str(fair), "--resamples", "100", "--strict", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["leaks"] == 2


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "audit", str(tmp_path / "nope.csv"), "--json"]) == 2
    assert "no such file" in json.loads(capsys.readouterr().out)["error"]


def test_a_figure_and_a_recorded_ceiling(fair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fair.rename(tmp_path / "train.csv")
    (tmp_path / "benchmark.json").write_text('{"ceilings": {"sentence": "nobody gets above 0.91"}}')
    figure = tmp_path / "audit.svg"
    assert run(["benchmark", "audit", str(tmp_path), "--resamples", "20", "--figure", str(figure)]) == 0
    out = capsys.readouterr().out
    assert "nobody gets above 0.91" in out
    assert "perturbation only" in out
    assert "gene oracle" in figure.read_text()
