"""``perturbarena board`` as an organiser types it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tests.leaderboard.board_cases import TRACK, answers, bundle, hand_in, solution_table, truth

from perturbarena.challenge.formats import write_labelled, write_predictions, write_questions, write_table
from perturbarena.cli import run
from perturbarena.leaderboard import Worker, identify, open_store


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """A question set with its truth, as `benchmark build` writes them, and a rules file."""
    labelled = truth()
    bench, hidden = tmp_path / "bench", tmp_path / "truth"
    bench.mkdir()
    hidden.mkdir()
    train = truth(seed=9).take(np.arange(20))
    other = [f"T{i}" for i in range(20)]
    questions = type(train.questions).from_pairs(other, other)
    write_labelled(bench / "train.csv", type(train)(questions, train.label))
    write_questions(bench / "test.csv", labelled.questions)
    write_table(hidden / "solution.csv", solution_table(labelled))
    half = {"score": 0.9, "de_auroc": 0.8, "dir_auroc": 1.0, "intervals": {"score": [0.85, 0.95]}}
    record = {"ceilings": {"validation": {"split_half": half}, "test": {"split_half": half}}}
    (bench / "benchmark.json").write_text(json.dumps(record))
    rules = resources.files("perturbarena.workflows").joinpath("demo.toml").read_text(encoding="utf-8")
    (tmp_path / "rules.toml").write_text(rules)
    write_predictions(tmp_path / "base.csv", answers(skill=0.5))
    return tmp_path


def create(folders: Path, *more: str, deadline: datetime | None = None) -> int:
    at = (deadline or datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d %H:%M")
    return run(
        [
            "board", "create", str(folders / "challenge"), "--bench", str(folders / "bench"),
            "--truth", str(folders / "truth"), "--challenge", str(folders / "rules.toml"), "--deadline", at,
            "--resamples", "50", *more,
        ]
    )  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0):
    capsys.readouterr()
    assert run(["board", *argv]) == code
    return json.loads(capsys.readouterr().out)


def test_a_challenge_from_start_to_end(folders, tmp_path, capsys):
    board = str(folders / "challenge")
    assert create(folders, "--baseline", f"Means={folders / 'base.csv'}", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["questions"], made["tracks"]) == (120, [TRACK])
    team = told(capsys, "team", board, "The Knockouts", "--member", "Ada L.", "--json")
    assert team["members"] == ["Ada L."]
    reviewer = told(capsys, "token", board, "--scope", "review", "--label", "Prof. Curie", "--json")
    assert reviewer["scopes"] == ["review"]
    assert [t["revoked"] for t in told(capsys, "tokens", board, "--json")] == [False, False]

    store = open_store(board)
    entrant = identify(store, team["token"])
    assert entrant is not None
    receipt = hand_in(store, entrant, bundle(answers(skill=3), tmp_path))
    Worker(store).drain()
    shown = told(capsys, "show", board, "--track", TRACK, "--json")
    assert [row["kind"] for row in shown["rows"]] == ["entry", "baseline", "ceiling"]
    assert shown["rows"][2]["note"] == "a replicate with half the cells"
    private = told(capsys, "show", board, "--track", TRACK, "--part", "private", "--json")
    assert private["view"] == "private"

    (tmp_path / "receipt.json").write_text(json.dumps(receipt.as_json()))
    assert run(["board", "receipt", board, str(tmp_path / "receipt.json")]) == 0
    (tmp_path / "receipt.json").write_text(json.dumps(receipt.as_json() | {"sha256": "0" * 64}))
    assert run(["board", "receipt", board, str(tmp_path / "receipt.json")]) == 1

    review = ["--verdict", "sound", "--reason", "well done", "--reviewer", "Prof. Curie", "--novelty", "4"]
    assert run(["board", "review", board, receipt.submission, *review]) == 0
    queue = told(capsys, "queue", board, "--track", TRACK, "--json")
    assert queue[0]["verdicts"][0]["novelty"] == 4
    assert told(capsys, "jobs", board, "--json")["queue"]["check_score"] == {"done": 2}

    assert run(["board", "deadline", board, "2020-01-01 00:00", "--timezone", "Europe/Zurich"]) == 0
    assert run(["board", "release", board]) == 0
    given = told(capsys, "award", board, "--places", TRACK, "--json")
    assert [(a["place"], a["team"]) for a in given] == [(1, "The Knockouts")]
    novel = ["--submission", receipt.submission, "--name", "Most novel", "--over-all", "--citation", "new"]
    assert told(capsys, "award", board, *novel, "--json")[0]["track"] == ""
    results = told(capsys, "results", board, "--json")
    assert [a["name"] for a in results["awards"]] == ["Most novel", "Place"]
    assert results["without_code"] == ["The Knockouts"]
    assert told(capsys, "log", board, "--verify", "--json")["ok"] is True
    backup = told(capsys, "backup", board, "-o", str(tmp_path / "b.tar"), "--json")
    assert backup["rows"]["award"] == 2
    assert run(["board", "restore", str(tmp_path / "b.tar"), str(tmp_path / "again")]) == 0
    assert told(capsys, "show", str(tmp_path / "again"), "--track", TRACK, "--json")["rows"][0]["rank"] == 1
    store.close()


def test_people_read_tables(folders, tmp_path, capsys):
    board = str(folders / "challenge")
    assert create(folders, "--title", "A trial [bold]") == 0
    assert run(["board", "team", board, "[red]A[/]"]) == 0
    assert "token: pa_" in capsys.readouterr().out
    for argv in (
        ["tokens", board], ["log", board], ["show", board, "--track", TRACK],
        ["show", board, "--track", TRACK, "--csv"], ["queue", board, "--track", TRACK],
        ["disqualify", board, "--team", "[red]A[/]", "--reason", "copied"],
        ["hide", board, "[red]A[/]", "--until", "2099-01-01 00:00", "--reason", "patent"],
    ):  # fmt: skip
        assert run(["board", *argv]) == 0, argv
    assert "[red]A[/]" in capsys.readouterr().out


def test_a_corrected_truth_is_queued(folders, tmp_path, capsys):
    board = str(folders / "challenge")
    create(folders, "--baseline", f"Means={folders / 'base.csv'}")
    store = open_store(board)
    Worker(store).drain()
    table = solution_table(truth())
    table.loc[0, "label"] = "up" if table.loc[0, "label"] != "up" else "down"
    (tmp_path / "new").mkdir()
    write_table(tmp_path / "new" / "solution.csv", table)
    found = told(capsys, "rescore", board, str(tmp_path / "new"), "--reason", "one label", "--json")
    assert (found["version"], found["to_rescore"]) == (2, 1)
    store.close()


def test_wrong_input_is_one_line_and_2(folders, tmp_path, capsys):
    board = str(folders / "challenge")
    assert create(folders) == 0
    capsys.readouterr()
    for argv, message in (
        (["create", board, "--bench", str(folders / "bench"), "--truth", str(folders / "truth"), "--deadline",
          "2030-01-01", "--challenge", str(folders / "rules.toml")], "is there already"),
        (["show", str(tmp_path), "--track", TRACK], "holds no challenge"),
        (["show", board, "--track", "Z"], "has the tracks open"),
        (["show", board, "--track", TRACK, "--database", "mysql://x/y"], "SQLite or PostgreSQL"),
        (["show", board, "--track", TRACK, "--database", "postgresql://nobody@127.0.0.1:9/x"], "cannot be used"),
        (["release", board], "must not be before the deadline"),
        (["award", board], "one of --places and --submission"),
        (["embargo", board, "--until", "2030-01-01 00:00"], "needs a --reason"),
        (["receipt", board, str(tmp_path / "none.json")], "cannot be read"),
        (["rescore", board, str(folders / "truth"), "--reason", "same"], "is the current truth"),
    ):  # fmt: skip
        assert run(["board", *argv]) == 2, argv
        error = capsys.readouterr().err
        assert message in error, argv
        assert error.count("\n") == 1, argv
    assert run(["worker", str(tmp_path)]) == 2


def test_a_failed_creation_leaves_nothing(folders, capsys):
    table = solution_table(truth())
    write_table(folders / "truth" / "solution.csv", table.iloc[:-1])
    assert create(folders) == 2
    assert "must label every hidden row" in capsys.readouterr().err
    assert not (folders / "challenge").exists()
    assert not list(folders.glob(".challenge*"))
