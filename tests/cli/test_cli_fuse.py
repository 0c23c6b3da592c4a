import json

import numpy as np
import pandas as pd
import pytest

from perturbarena import cli
from perturbarena.benchmark import simulate_questions
from perturbarena.challenge.formats import read_predictions, write_labelled, write_predictions
from perturbarena.challenge.records import Predictions


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuse")
    rows = simulate_questions(np.random.default_rng(0), n_perts=30, n_genes=80, n_questions=500).questions
    known = rows.take(np.arange(400))
    write_labelled(folder / "train.csv", known)
    asked = rows.take(np.arange(400, 500)).questions
    pd.DataFrame({"id": asked.id, "pert": asked.pert, "gene": asked.gene}).to_csv(
        folder / "questions.csv", index=False
    )
    rng = np.random.default_rng(1)
    for name, trust in (("good", 0.5), ("noise", 0.0)):
        p = rng.dirichlet([1, 1, 1], 500)
        truth = np.column_stack([rows.is_up, rows.is_de & ~rows.is_up, ~rows.is_de])
        mixed = np.where(rng.random((500, 1)) < trust, 0.4 * truth + 0.6 * p, p)
        write_predictions(folder / f"{name}.csv", Predictions(rows.id, mixed[:, 0], mixed[:, 1]))
    return folder


def run(capsys, *words):
    code = cli.run([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def call(files, *words):
    parts = (files / "good.csv", files / "noise.csv")
    return ("fuse", *parts, "--train-truth", files / "train.csv", "-o", files / "out.csv", "--folds", 3, *words)


def test_questions(files, capsys):
    code, out, err = run(capsys, *call(files, "--questions", files / "questions.csv", "--json"))
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert (found["n"], found["score"], found["warnings"]) == (100, None, [])
    de = {part["part"]: part for part in found["heads"]["DE"]}
    assert de["good"]["coefficient"] > 5 * de["noise"]["coefficient"]
    assert (files / "out.csv").read_text().splitlines()[0] == "id,prediction_up,prediction_down"
    asked = pd.read_csv(files / "questions.csv")["id"].tolist()
    assert read_predictions(files / "out.csv").id.tolist() == asked
    first = (files / "out.csv").read_bytes()
    run(capsys, *call(files, "--questions", files / "questions.csv"))
    assert (files / "out.csv").read_bytes() == first


def test_cross_fitted(files, capsys):
    code, out, _ = run(capsys, *call(files))
    assert code == 0
    assert "400 rows answered, cross-fitted" in out
    assert "good: weight" in out
    assert "Score" in out
    assert read_predictions(files / "out.csv").id.tolist() == pd.read_csv(files / "train.csv")["id"].tolist()


def test_errors(files, capsys):
    short = files / "short.csv"
    short.write_text("id,prediction_up,prediction_down\na,0.1,0.2\n")
    code, out, err = run(
        capsys, "fuse", short, "--train-truth", files / "train.csv", "-o", files / "no.csv", "--json"
    )
    assert code == 2
    assert "short.csv must answer all 400 ids; it lacks 400" in out + err
    assert not (files / "no.csv").exists()
