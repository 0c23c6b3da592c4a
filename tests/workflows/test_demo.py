from __future__ import annotations

import json

import pytest

from perturbarena.challenge.formats import read_labelled, read_predictions
from perturbarena.cli import run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    assert run(["demo", "-o", str(folder)]) == 0
    return folder


def test_everything_is_made(made):
    names = {path.name for path in made.iterdir()}
    assert {"train.csv", "predictions.csv", "score.json", "submission.zip", "scores.svg", "scores.png"} <= names
    rows, answers = read_labelled(made / "train.csv"), read_predictions(made / "predictions.csv")
    assert list(rows.id) == list(answers.id)


def test_the_predictor_finds_the_modules(made):
    score = json.loads((made / "score.json").read_text())
    for measure in ("dir_auroc", "de_auroc", "de_within_gene"):
        assert score["intervals"][measure][0] > 0.55


def test_the_commands_it_names_give_the_same_answers(made, tmp_path, capsys):
    again = tmp_path / "answers.csv"
    command = ["crossval", "transfer", str(made / "train.csv"), "--features", str(made / "features.csv")]
    assert run([*command, "-o", str(again)]) == 0
    assert again.read_bytes() == (made / "predictions.csv").read_bytes()
    capsys.readouterr()
    command = ["score", str(again), "--truth", str(made / "train.csv"), "--seed", "1", "--json"]
    assert run(command) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["score"] == json.loads((made / "score.json").read_text())["score"]
