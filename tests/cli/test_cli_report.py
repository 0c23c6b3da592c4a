from __future__ import annotations

import json

import numpy as np
import pytest

from perturbarena.challenge.formats import write_labelled, write_predictions
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.cli import main


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    pert, gene = (a.ravel() for a in np.meshgrid(np.arange(12), np.arange(6)))
    questions = Questions.from_pairs([f"P{i}" for i in pert], [f"G{i}" for i in gene])
    label = rng.choice(np.array(["up", "down", "none"], object), len(pert))
    write_labelled(tmp_path / "truth.csv", LabelledQuestions(questions, label))
    write_predictions(tmp_path / "answers.csv", Predictions(questions.id, *(rng.random((2, len(pert))) / 2)))
    return tmp_path


def _run(monkeypatch, *arguments) -> int:
    monkeypatch.setattr("sys.argv", ["perturbarena", "report", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_json_tells_the_file_and_the_scores(files, monkeypatch, capsys):
    page = files / "new" / "report.html"
    arguments = (files / "answers.csv", "--truth", files / "truth.csv", "--resamples", 20, "-o", page, "--json")
    assert _run(monkeypatch, *arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["bytes"] == page.stat().st_size
    assert 0 < said["scores"]["answers"] < 1


def test_without_truth_there_is_no_score(files, monkeypatch, capsys):
    assert _run(monkeypatch, files / "answers.csv", "-o", files / "r.html") == 0
    assert "answers: no truth" in capsys.readouterr().out


def test_one_price_is_refused(files, monkeypatch, capsys):
    assert _run(monkeypatch, files / "answers.csv", "--price-in", 1, "-o", files / "r.html") == 2
    assert "--price-in and --price-out go together" in capsys.readouterr().err
    assert not (files / "r.html").exists()
