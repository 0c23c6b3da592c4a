"""``perturbarena benchmark power`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perturbarena.benchmark import simulate_questions
from perturbarena.challenge.formats import write_labelled, write_questions, write_table
from perturbarena.cli import run

QUICK = ["--draws", "3", "--resamples", "60"]


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    rows = simulate_questions(np.random.default_rng(0), n_perts=30, n_genes=60, n_questions=900).questions
    write_labelled(tmp_path / "train.csv", rows.take(np.arange(500)))
    write_questions(tmp_path / "test.csv", rows.take(np.arange(500, 900)).questions)
    write_labelled(tmp_path / "solution.csv", rows.take(np.arange(500, 900)))
    return tmp_path


def test_table_and_figure(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "power", str(bench / "train.csv"), *QUICK, "--figure", str(bench / "p.svg")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "500" in out
    assert "Labels known" in out
    svg = (bench / "p.svg").read_text()
    assert "DIR, all questions: 0." in svg
    assert "80% power" in svg


def test_hidden_rows_take_the_truth_or_borrow(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for name, options in (("truth", ["--truth", str(bench)]), ("borrowed", []), ("mix", ["--mix", "0.2,0.2,0.6"])):
        assert run(["benchmark", "power", str(bench), *QUICK, *options, "--json"]) == 0
        found[name] = json.loads(capsys.readouterr().out)
    assert {f["whole"]["n"] for f in found.values()} == {400}
    assert [f["labels"]["known"] for f in found.values()] == [True, False, False]
    assert found["mix"]["labels"]["none"] == 0.6
    assert 0 < found["truth"]["whole"]["smallest"]["score"] < 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--auroc", "1.5"], "--auroc: "),
        (["--pert-share", "0.8"], "must sum to less than 1"),
        (["--mix", "0.5,0.5"], "--mix needs three positive shares"),
        (["--mix", "nan,0.5,0.5"], "--mix needs three positive shares"),
        (["--figure", "p.bmp"], ".png, .svg, .pdf"),
        (["--draws", "0"], "--draws: "),
    ],
)
def test_wrong_options(bench: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str) -> None:
    assert run(["benchmark", "power", str(bench), *QUICK, *options]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert message in err
    assert "Traceback" not in err


def test_questions_without_any_labels(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "power", str(bench / "test.csv"), *QUICK]) == 2
    assert "--mix UP,DOWN,NONE" in capsys.readouterr().err


def test_a_mix_for_labelled_rows_is_refused(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["benchmark", "power", str(bench / "train.csv"), *QUICK, "--mix", "0.3,0.2,0.5"]) == 2
    assert "its labels are known" in capsys.readouterr().err


def test_a_truth_in_another_layout(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pandas as pd

    write_table(bench / "solution.csv", pd.DataFrame({"id": ["a"], "label": ["up"]}))
    assert run(["benchmark", "power", str(bench), "--truth", str(bench)]) == 2
    assert "not among the questions" in capsys.readouterr().err
