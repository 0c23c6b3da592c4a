from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from perturbarena.benchmark import simulate_questions
from perturbarena.challenge.folds import Folds
from perturbarena.challenge.formats import read_predictions, write_labelled
from perturbarena.challenge.records import Predictions
from perturbarena.cli import run
from perturbarena.errors import FoldLeakError, InputError
from perturbarena.workflows.crossval import cross_validate

PREDICTOR = """
import csv, pathlib, sys
train, questions, output, log = sys.argv[1:5]
rows = list(csv.DictReader(open(train)))
asked = list(csv.DictReader(open(questions)))
assert set(asked[0]) == {"id", "pert", "gene"}, "a label came along"
assert not {r["pert"] for r in rows} & {q["pert"] for q in asked}
assert not {r["gene"] for r in rows} & {q["gene"] for q in asked}
share = sum(r["label"] == "up" for r in rows) / len(rows)
with open(output, "w") as file:
    file.write("id,prediction_up,prediction_down\\n")
    for q in reversed(asked):
        file.write(f"{q['id']},{share},{0.3}\\n")
with open(log, "a") as file:
    file.write("fit\\n")
if len(pathlib.Path(log).read_text().splitlines()) == int(sys.argv[5]):
    sys.exit("out of luck")
"""


@pytest.fixture
def case(tmp_path):
    rows = simulate_questions(np.random.default_rng(0), n_perts=20, n_genes=60, n_questions=300).questions
    write_labelled(tmp_path / "train.csv", rows)
    (tmp_path / "mine.py").write_text(PREDICTOR)
    return rows, tmp_path


def command(folder, *, stop_at=0):
    return f"{sys.executable} {folder}/mine.py {{train}} {{questions}} {{output}} {folder}/log {stop_at}"


def test_any_program_is_cross_validated_without_seeing_a_label_it_is_to_answer(case, capsys):
    rows, folder = case
    out = folder / "out.csv"
    asked = ["crossval", "command", str(folder / "train.csv"), "--folds", "2", "-o", str(out), "--json"]
    assert run([*asked, "--command", command(folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["fits"] == 4
    assert told["score"]["n"] == len(rows)
    answers = read_predictions(out)
    assert list(answers.id) == list(rows.id)
    assert len(set(answers.p_up)) == 4


def test_a_run_that_failed_goes_on_where_it_stood(case, capsys):
    _, folder = case
    out = folder / "out.csv"
    asked = ["crossval", "command", str(folder / "train.csv"), "--folds", "2", "-o", str(out)]
    assert run([*asked, "--command", command(folder, stop_at=3)]) == 2
    assert "the command ended with exit code 1: out of luck" in capsys.readouterr().err
    assert not out.exists()
    assert run([*asked, "--command", command(folder, stop_at=3)]) == 0
    assert len((folder / "log").read_text().splitlines()) == 5
    assert not list(folder.glob(".out.csv*"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("python x.py {train}", "it lacks {questions}, {output}"),
        ("no-such-program {train} {questions} {output}", "cannot start no-such-program: No such file"),
        (f"{sys.executable} -c pass {{train}} {{questions}} {{output}}", "wrote no predictions to {output}"),
    ],
)
def test_what_cannot_work_is_one_line(case, capsys, given, said):
    _, folder = case
    asked = ["crossval", "command", str(folder / "train.csv"), "--folds", "2", "-o", str(folder / "o.csv")]
    assert run([*asked, "--command", given]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert said in error[-1]


@pytest.mark.parametrize("asked", [["crossval", "command"], ["fuse"]])
def test_the_training_rows_are_never_written_over(case, capsys, asked):
    _, folder = case
    train = folder / "train.csv"
    before = train.read_bytes()
    more = (
        [str(train), "--command", command(folder)]
        if asked[0] == "crossval"
        else [str(folder / "a.csv"), "--train-truth", str(train)]
    )
    assert run([*asked, *more, "-o", str(train)]) == 2
    assert "would be overwritten" in capsys.readouterr().err
    assert train.read_bytes() == before


def test_folds_that_share_a_gene_are_an_error(case):
    rows, _ = case

    def guess(train, questions, *, rng):
        return Predictions(questions.id, np.full(len(questions), 0.3), np.full(len(questions), 0.2))

    folds = Folds.deal(rows.pert, rows.gene, n_folds=3, rng=np.random.default_rng(0))
    found = cross_validate(rows, guess, folds=folds)
    assert found.n_fits == 9
    torn = folds.gene_fold.copy()
    torn[0] = (torn[0] + 1) % 3
    with pytest.raises(FoldLeakError, match=f"gene {rows.gene[0]} stands in folds"):
        cross_validate(rows, guess, folds=Folds(3, folds.pert_fold, torn))
    with pytest.raises(InputError, match="1 with given folds; got 2"):
        cross_validate(rows, guess, folds=folds, repeats=2)


def test_answers_out_of_order_are_refused(case):
    rows, _ = case

    def backwards(train, questions, *, rng):
        return Predictions(questions.id[::-1], np.full(len(questions), 0.3), np.full(len(questions), 0.2))

    with pytest.raises(InputError, match=r"must answer its \d+ questions in order"):
        cross_validate(rows, backwards, n_folds=2)
