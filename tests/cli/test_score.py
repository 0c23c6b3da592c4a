import json

import numpy as np
import pandas as pd
import pytest

from perturbarena import cli
from perturbarena.evaluation import MEASURES


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    pairs = rng.choice(15 * 40, size=200, replace=False)
    ids = [f"P{i // 40}_G{i % 40}" for i in pairs]
    label = rng.choice(["up", "down", "none"], size=200)
    usage = np.where(np.arange(200) < 80, "Public", "Private")
    p_up, p_down, _ = rng.dirichlet([1, 1, 1], size=200).T
    pd.DataFrame({"id": ids, "label": label, "Usage": usage}).to_csv(tmp_path / "solution.csv", index=False)
    table = pd.DataFrame({"id": ids, "prediction_up": p_up, "prediction_down": p_down})
    table.to_csv(tmp_path / "p.csv", index=False)
    table.iloc[1:].to_csv(tmp_path / "short.csv", index=False)
    return tmp_path


def run(files, capsys, *options, predictions="p.csv"):
    code = cli.run(["score", str(files / predictions), "--truth", str(files / "solution.csv"), *options])
    out, err = capsys.readouterr()
    return code, out, err


def no_constants(name):
    raise AssertionError(f"{name} is not JSON")


def test_one_json_object_with_the_promised_keys(files, capsys):
    code, out, err = run(files, capsys, "--json", "--resamples", "50")
    found = json.loads(out, parse_constant=no_constants)
    assert (code, err) == (0, "")
    assert {*MEASURES, "n", "n_de", "intervals", "unscored"} <= set(found)
    assert found["n"] == 200
    assert set(found["intervals"]) == set(MEASURES)
    assert found["intervals"]["score"][0] < found["score"] < found["intervals"]["score"][1]
    assert (found["mode"], found["track"], found["usage"], found["seed"]) == ("strict", None, None, 0)


def test_the_seed_decides_the_interval(files, capsys):
    first, again, other = (
        json.loads(run(files, capsys, "--json", "--resamples", "50", "--seed", seed)[1])["intervals"]
        for seed in ("1", "1", "2")
    )
    assert first == again != other


def test_the_splits(files, capsys):
    for usage, n in (("Public", 80), ("Private", 120)):
        assert json.loads(run(files, capsys, "--json", "--usage", usage)[1])["n"] == n


def test_undefined_is_null(files, capsys):
    solution = pd.read_csv(files / "solution.csv")
    solution.replace({"label": {"down": "none"}}).to_csv(files / "solution.csv", index=False)
    found = json.loads(run(files, capsys, "--json", "--resamples", "20")[1], parse_constant=no_constants)
    assert found["score"] is None
    assert found["intervals"]["score"] is None
    assert "go up" in found["unscored"]["dir_auroc"]
    assert found["de_auroc"] is not None


def test_refused_input_is_exit_2_one_line_and_an_error_object(files, capsys):
    code, out, err = run(files, capsys, "--json", predictions="short.csv")
    assert code == 2
    assert err.count("\n") == 1
    message = json.loads(out)["error"]
    assert "1 of 200 questions have no prediction; missing: P" in message
    assert message in err


def test_reference_mode_refuses_in_the_published_words(files, capsys):
    code, out, _ = run(files, capsys, "--json", "--mode", "reference", predictions="short.csv")
    assert code == 2
    assert json.loads(out) == {"error": "Submission is missing prediction_up values for 1 rows."}
    code, out, _ = run(files, capsys, "--json", "--mode", "reference", "--track", "C")
    assert json.loads(out)["error"].startswith("Submission is missing required column(s): reasoning_trace, ")


def test_every_published_refusal_word_for_word(golden, tmp_path, capsys):
    for case in json.loads((golden / "challenge_metric.json").read_text()):
        if case["kind"] not in ("overcalls", "nocol", "nonede", "inf", "missingrow", "negative"):
            continue
        (tmp_path / "s.csv").write_text(case["solution"])
        (tmp_path / "p.csv").write_text(case["submission"])
        options = [] if case["track"] == "base" else ["--track", case["track"]]
        files = [str(tmp_path / "p.csv"), "--truth", str(tmp_path / "s.csv")]
        code = cli.run(["score", *files, "--mode", "reference", "--json", "--resamples", "2", *options])
        found = json.loads(capsys.readouterr().out)
        if "message" in case:
            assert (code, found) == (2, {"error": case["message"]})
        else:
            assert (code, found["score"]) == (0, pytest.approx(case["score"], abs=1e-12))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--track", "D"], "has the tracks A, B, C; got 'D'"),
        (["--challenge", "nowhere"], "no challenge is named 'nowhere'"),
        (["--questions", "nowhere.csv"], "no such file: nowhere.csv"),
        (["--usage", "Hidden"], "'--usage': 'Hidden' is not one of 'Public', 'Private'"),
    ],
)
def test_wrong_options_are_told_in_one_line(files, capsys, options, message):
    code, _, err = run(files, capsys, *options)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_the_table_for_people(files, capsys):
    code, out, _ = run(files, capsys, "--resamples", "50")
    assert code == 0
    for words in ("Score", "within strata", "within genes", "95 % interval", "200 rows", "15 perturbations"):
        assert words in out
    assert "how many rows a gene has" in out.replace("\n", " ")


def test_a_measure_that_stands_in_two_tables_has_one_interval(files, capsys):
    found = json.loads(run(files, capsys, "--json", "--full", "--resamples", "50")[1])
    again = found["full"]["measures"]["de_within_gene"]
    assert again["value"] == found["de_within_gene"]
    assert again["interval"] == found["intervals"]["de_within_gene"]


def test_what_is_missing_is_named_for_people(files, capsys):
    out = run(files, capsys, "--resamples", "0")[1].replace("\n", " ")
    assert "no interval of score, DE, DIR, DE within strata, DE within genes: no resamples were asked for" in out


def test_the_kaggle_metric_is_written(tmp_path, capsys):
    path = tmp_path / "metric.py"
    assert cli.run(["challenge", "kaggle-metric", "--track", "B", "-o", str(path)]) == 0
    compile(path.read_text(), "metric.py", "exec")
    capsys.readouterr()
    assert cli.run(["challenge", "kaggle-metric", "--track", "B"]) == 0
    assert capsys.readouterr().out == path.read_text()
    assert cli.run(["challenge", "kaggle-metric", "--track", "Z"]) == 2
