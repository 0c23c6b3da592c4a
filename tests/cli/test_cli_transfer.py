import json

import numpy as np
import pandas as pd
import pytest

from perturbarena import cli
from perturbarena.benchmark import simulate_questions
from perturbarena.challenge.formats import read_predictions, write_labelled


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    found = simulate_questions(np.random.default_rng(0), n_perts=30, n_genes=80, n_questions=500)
    write_labelled(folder / "train.csv", found.questions)
    table = pd.DataFrame(found.features).assign(gene=found.feature_genes)
    table[["gene", *range(found.features.shape[1])]].to_csv(folder / "features.csv", index=False)
    pd.DataFrame({"id": ["a", "b"], "pert": ["Gene0000", "New"], "gene": ["New", "Gene0040"]}).to_csv(
        folder / "questions.csv", index=False
    )
    return folder


def run(capsys, *words):
    code = cli.run([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_run_transfer(files, capsys):
    options = (
        "--train",
        files / "train.csv",
        "--questions",
        files / "questions.csv",
        "--features",
        files / "features.csv",
    )
    code, out, err = run(capsys, "run", "transfer", *options, "-o", files / "p.csv", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["basis"] == {"gene and perturbation": 0, "gene only": 1, "perturbation only": 1, "none": 0}
    assert found["seen_in_training"]["both"] == 0
    assert (files / "p.csv").read_text().splitlines()[0] == "id,prediction_up,prediction_down"
    assert read_predictions(files / "p.csv").id.tolist() == ["a", "b"]
    first = (files / "p.csv").read_bytes()
    code, out, _ = run(capsys, "run", "transfer", *options, "-o", files / "p.csv")
    assert code == 0
    assert "2 questions answered" in out
    assert (files / "p.csv").read_bytes() == first


def test_crossval_scores_what_it_wrote(files, capsys):
    options = ("--features", files / "features.csv", "--folds", "3", "--repeats", "2", "--seed", "1")
    code, out, _ = run(
        capsys, "crossval", "transfer", files / "train.csv", *options, "-o", files / "cv.csv", "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert found["fits"] == 18
    _, out, _ = run(capsys, "score", files / "cv.csv", "--truth", files / "train.csv", "--json")
    assert json.loads(out)["dir_auroc"] == found["score"]["dir_auroc"]
    code, out, _ = run(capsys, "crossval", "transfer", files / "train.csv", *options, "-o", files / "cv.csv")
    assert code == 0
    assert "within genes" in out


def test_predict_a_grid_and_pairs_alike(files, capsys):
    common = ("predict", "--train", files / "train.csv", "--features", files / "features.csv")
    (files / "perts.txt").write_text("Gene0001\nNew\n")
    code, out, _ = run(
        capsys, *common, "--perts", files / "perts.txt", "--genes", "Gene0050,Other", "-o", files / "g.csv"
    )
    assert code == 0
    assert "4 pairs answered" in out
    table = pd.read_csv(files / "g.csv")
    assert table.columns.tolist() == ["id", "pert", "gene", "prediction_up", "prediction_down", "basis"]
    assert table["basis"].tolist() == ["gene and perturbation", "perturbation only", "gene only", "none"]
    table[["pert", "gene"]].to_csv(files / "pairs.csv", index=False)
    code, out, _ = run(
        capsys, *common, "--pairs", files / "pairs.csv", "-o", files / "h.csv", "--top", "2", "--json"
    )
    assert code == 0
    assert len(json.loads(out)["top"]) == 2
    assert (files / "h.csv").read_bytes() == (files / "g.csv").read_bytes()


def test_predict_says_what_its_answers_rest_on(files, capsys):
    common = ("predict", "--train", files / "train.csv", "--features", files / "features.csv", "--refits", "3")
    ask = ("--perts", "Gene0001,New", "--genes", "Gene0050,Other", "-o", files / "g.csv")
    code, out, _ = run(capsys, *common, *ask, "--evidence", files / "why.csv", "--json")
    assert code == 0
    assert json.loads(out)["evidence"].endswith("why.csv")
    why = pd.read_csv(files / "why.csv", keep_default_na=False)
    assert why["basis"].tolist() == ["gene and perturbation", "perturbation only", "gene only", "no basis"]
    assert (why["p_moves_low"] < why["p_moves"]).all()
    assert (why["p_up_if_moved"] < why["p_up_if_moved_high"]).all()
    assert why["nearest_genes"].str.contains("moved").tolist() == [True, False, True, False]
    assert why["nearest_perturbations"].str.contains("moved").tolist() == [True, True, False, False]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "run transfer --train {0}/train.csv --questions {0}/questions.csv -o x.csv",
            "give --knowledge DIR, --features TABLE or --coexpression CELLS",
        ),
        (
            "predict --train {0}/train.csv --perts A --features {0}/features.csv -o x.csv",
            "both --perts and --genes",
        ),
        ("crossval transfer {0}/train.csv --features {0}/train.csv -o x.csv", "must be a number"),
        ("crossval transfer {0}/train.csv --knowledge {0} -o x.csv", "is no knowledge folder"),
        (
            "crossval transfer {0}/train.csv --features {0}/features.csv --elsewhere {0} -o x.csv",
            "needs orthologues",
        ),
        ("crossval transfer {0}/questions.csv --features {0}/features.csv -o x.csv", "needs the column label"),
    ],
)
def test_refused_with_exit_2_and_one_line(files, capsys, words, message):
    code, out, err = run(capsys, *words.format(files).split(), "--json")
    assert code == 2
    assert message in json.loads(out)["error"]
    assert err.count("\n") == 1


def test_symbols_of_another_species_are_pointed_out(files, capsys):
    table = pd.read_csv(files / "features.csv")
    train = ("--train", files / "train.csv", "--questions", files / "train.csv")
    for n_known, code, message in (
        (2, 0, "note: under 10% of the genes"),
        (1, 2, "all the same"),
        (0, 2, "one species"),
    ):
        upper = table.assign(gene=[g.upper() if i >= n_known else g for i, g in enumerate(table["gene"])])
        upper.to_csv(files / "upper.csv", index=False)
        found = run(capsys, "run", "transfer", *train, "--features", files / "upper.csv", "-o", files / "u.csv")
        assert found[0] == code
        assert message in found[2]
