from __future__ import annotations

import json

import pytest

from perturbarena.challenge.formats import read_predictions, read_questions
from perturbarena.cli import run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert run(["demo", "-o", str(folder)]) == 0
    return folder


def test_everything_is_made(made):
    names = {path.name for path in made.iterdir()}
    assert {
        "screen.h5ad",
        "bench",
        "truth",
        "predictions.csv",
        "score.json",
        "submission.zip",
        "scores.svg",
    } <= names
    asked, answers = read_questions(made / "bench/test.csv"), read_predictions(made / "predictions.csv")
    assert list(asked.id) == list(answers.id)
    assert json.loads((made / "bench/benchmark.json").read_text())["audit"]["leaks"] == 0


def test_the_predictor_finds_the_modules(made):
    score = json.loads((made / "score.json").read_text())
    for measure in ("dir_auroc", "score"):
        assert score["intervals"][measure][0] > 0.5


def test_the_commands_it_names_give_the_same_answers(made, tmp_path, capsys):
    again = tmp_path / "answers.csv"
    asked = ["--train", str(made / "bench/train.csv"), "--questions", str(made / "bench/test.csv")]
    assert run(["run", "transfer", *asked, "--coexpression", str(made / "controls.h5ad"), "-o", str(again)]) == 0
    assert again.read_bytes() == (made / "predictions.csv").read_bytes()
    capsys.readouterr()
    truth = ["--truth", str(made / "truth/solution.csv"), "--questions", str(made / "bench/test.csv")]
    assert run(["score", str(again), *truth, "--seed", "1", "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["score"] == json.loads((made / "score.json").read_text())["score"]
