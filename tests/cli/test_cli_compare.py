import json

import numpy as np
import pandas as pd
import pytest

from perturbarena import cli

FIVE = {"difference", "interval", "p", "minimum_detectable", "verdict"}


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    pairs = rng.choice(15 * 40, size=300, replace=False)
    ids = [f"P{i // 40}_G{i % 40}" for i in pairs]
    label = rng.choice(["up", "down", "none"], size=300)
    usage = np.where(np.arange(300) < 120, "Public", "Private")
    pd.DataFrame({"id": ids, "label": label, "Usage": usage}).to_csv(tmp_path / "solution.csv", index=False)
    for name, skill in (("a", 0.0), ("b", 0.0), ("c", 2.0)):
        p = np.exp(rng.normal(size=(300, 3)) + skill * (label[:, None] == np.array(["up", "down", "none"])))
        p /= p.sum(axis=1, keepdims=True)
        table = pd.DataFrame({"id": ids, "prediction_up": p[:, 0], "prediction_down": p[:, 1]})
        table.sample(frac=1, random_state=1).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def run(files, capsys, command, names, *options):
    paths = [str(files / f"{name}.csv") for name in names]
    truth = ["--truth", str(files / "solution.csv"), "--resamples", "100"]
    code = cli.run([command, *paths, *truth, *options])
    out, err = capsys.readouterr()
    return code, out, err


def test_two_files_give_the_promised_keys_at_the_top(files, capsys):
    code, out, err = run(files, capsys, "compare", "ac", "--json")
    found = json.loads(out)
    assert (code, err) == (0, "")
    for name in ("score", "DE", "DIR"):
        assert set(found[name]) >= FIVE
    assert found["score"]["verdict"] == "B is better"
    assert found["score"]["interval"][0] < found["score"]["difference"] < found["score"]["interval"][1]
    assert found["n"] == 300
    assert found["files"]["B"].endswith("c.csv")


def test_three_files_give_a_list(files, capsys):
    found = json.loads(run(files, capsys, "compare", "abc", "--json")[1])
    assert [c["second"] for c in found["comparisons"]] == ["B", "C"]
    assert set(found["comparisons"][1]["DIR"]) >= FIVE
    assert found["comparisons"][1]["score"]["verdict"] == "C is better"


def test_a_split_has_fewer_rows(files, capsys):
    assert json.loads(run(files, capsys, "compare", "ab", "--json", "--usage", "Public")[1])["n"] == 120


def test_people_get_a_verdict_and_a_figure(files, capsys):
    code, out, _ = run(files, capsys, "compare", "abc", "--figure", str(files / "f.svg"))
    assert code == 0
    assert "C is better." in out
    assert "cannot be told apart with these 300 rows: differences under 0." in out.replace("\n", " ")
    figure = (files / "f.svg").read_text()
    assert figure.startswith("<?xml")
    run(files, capsys, "compare", "abc", "--figure", str(files / "f.svg"))
    assert (files / "f.svg").read_text() == figure


def test_one_file_or_wrong_rows_are_refused_in_one_line(files, capsys):
    code, out, err = run(files, capsys, "compare", "a", "--json")
    assert (code, err.count("\n")) == (2, 1)
    assert "at least two files" in json.loads(out)["error"]
    pd.read_csv(files / "b.csv").iloc[1:].to_csv(files / "b.csv", index=False)
    code, _, err = run(files, capsys, "compare", "ab")
    assert code == 2
    assert "b.csv: 1 of 300 questions have no prediction" in err


def test_the_gate_says_no_with_1_and_yes_with_0(files, capsys):
    ledger = ["--ledger", str(files / "looks.json")]
    code, out, _ = run(files, capsys, "gate", "ab", *ledger)
    assert code == 1
    assert "not accepted" in out
    code, out, _ = run(files, capsys, "gate", "ac", *ledger, "--json")
    found = json.loads(out)
    assert (code, found["accepted"], found["look"], found["looks"]) == (0, True, 2, 2)
    assert found["alpha"] == pytest.approx(0.05 / 6)
    assert set(found) >= FIVE


def test_the_gate_checks_training_rows(files, capsys):
    pd.DataFrame({"id": ["P1_X"], "pert": ["P1"], "gene": ["X"], "label": ["up"]}).to_csv(
        files / "train.csv", index=False
    )
    options = ("--ledger", str(files / "looks.json"), "--train", str(files / "train.csv"))
    code, _, err = run(files, capsys, "gate", "ac", *options)
    assert code == 2
    assert "share no perturbation; 1 are in both, e.g. P1" in err


def test_score_in_full(files, capsys):
    pd.DataFrame({"pert": [f"P{i}" for i in range(15)], "strength": ["weak", "strong", ""] * 5}).to_csv(
        files / "strata.csv", index=False
    )
    code, out, _ = run(files, capsys, "score", "c", "--strata", str(files / "strata.csv"), "--json")
    full = json.loads(out)["full"]
    assert code == 0
    assert {"measures", "reliability", "abstention", "strata", "rows_left_out", "seeds"} <= set(full)
    assert [s["value"] for s in full["strata"]] == ["strong", "weak"]
    code, out, _ = run(files, capsys, "score", "c", "--full")
    assert code == 0
    for words in ("one AUROC a gene", "Brier", "answering only the surest", "p(up | moved), by bin"):
        assert words in out
    assert json.loads(run(files, capsys, "score", "c", "--json")[1])["full"] is None
    code, _, err = run(files, capsys, "score", "c", "--full", "--mode", "reference")
    assert code == 2
    assert "need probabilities" in err
