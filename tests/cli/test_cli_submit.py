"""``perturbarena submit`` as a user types it, exit codes and JSON as other programs rely on them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from perturbarena.cli import run
from perturbarena.submission import RULES, rules_markdown

DOCS = Path(__file__).parents[2] / "docs" / "submissions.md"
HEADER = "id,prediction_up,prediction_down,reasoning_trace,tokens_used,model_name\n"
WARNINGS = {"a": {"answer.zero": 624}, "b": {"answer.zero": 1671, "tokens.zero": 466}, "c": {"answer.zero": 813}}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "q.csv").write_text("id,pert,gene\nA_X,A,X\nA_Y,A,Y\n")
    (tmp_path / "p.txt").write_text("Up, down or none?")
    (tmp_path / "good.csv").write_text(HEADER + "A_X,0.2,0.1,so,5,m-4B\nA_Y,0.3,0.1,so,5,m-4B\n")
    (tmp_path / "bad.csv").write_text(HEADER + "A_X,0.2,1.1,so,5,m-4B\nA_Z,0.3,0.1,so,x,m-4B\n")
    return tmp_path


def pack(files: Path, name: str, *more: str) -> int:
    argv = ["submit", "pack", str(files / name), "--track", "C", "--prompt", str(files / "p.txt")]
    return run([*argv, "-o", str(files / "s.zip"), *more])


def check(files: Path, *more: str) -> int:
    return run(
        ["submit", "check", str(files / "s.zip"), "--track", "C", "--questions", str(files / "q.csv"), *more]
    )


def test_a_good_submission_exits_0(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(files, "good.csv") == 0
    capsys.readouterr()
    assert check(files, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["problems"], report["rows"]) == (True, [], 2)
    assert check(files, "--challenge", "bioreasoning-2026") == 0
    assert "well-formed" in capsys.readouterr().out


def test_a_bad_one_exits_1_and_names_rule_row_column(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(files, "bad.csv") == 0
    capsys.readouterr()
    assert check(files, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert [(p["rule"], p["row"], p["column"]) for p in report["problems"]] == [
        ("probability.range", 2, "prediction_down"),
        ("id.unknown", 3, "id"),
        ("count.number", 3, "tokens_used"),
        ("id.missing", None, "id"),
    ]
    assert check(files) == 1
    assert "4 problems" in capsys.readouterr().out


def test_pack_checks_when_it_has_the_questions(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert pack(files, "bad.csv", "--questions", str(files / "q.csv"), "--json") == 1
    packed = json.loads(capsys.readouterr().out)
    assert packed["ok"] is False
    assert packed["file"].endswith("s.zip")
    assert pack(files, "good.csv", "--questions", str(files / "q.csv")) == 0


def test_what_cannot_be_read_exits_2(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(files, "--json") == 2
    assert "no such file" in json.loads(capsys.readouterr().out)["error"]
    (files / "s.zip").write_text("not a zip")
    assert check(files, "--json") == 2
    streams = capsys.readouterr()
    assert "cannot be read as a zip" in json.loads(streams.out)["error"]
    assert len(streams.err.strip().splitlines()) == 1


def test_hostile_names_print_harmlessly(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack(files, "good.csv")
    with zipfile.ZipFile(files / "s.zip", "a") as archive:
        archive.writestr("../[red]\x1b[2J[/nope].txt", "x")
    assert check(files) == 1
    out = capsys.readouterr().out
    assert "\x1b[2J" not in out
    assert "archive.path" in out


def test_a_second_challenge_by_its_path(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = Path(__file__).parents[1] / "challenge" / "second-challenge.toml"
    (files / "mine.csv").write_text("question,up,down,why,who\nA_X,0.1,0.2,so,m\nA_Y,0.9,0.2,so,m\n")
    out = str(files / "mine.zip")
    more = ["--track", "main", "--challenge", str(rules)]
    assert run(["submit", "pack", str(files / "mine.csv"), *more, "-o", out]) == 0
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ["answers.csv"]
    capsys.readouterr()
    assert run(["submit", "check", out, *more, "--questions", str(files / "q.csv"), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["rule"], problem["row"], problem["column"]) == ("probability.sum", 3, "up")


def test_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["submit", "rules"]) == 0
    assert capsys.readouterr().out == rules_markdown()
    assert run(["submit", "rules", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(RULES)


def test_the_documentation_holds_the_rules() -> None:
    assert rules_markdown() in DOCS.read_text(), (
        "docs/submissions.md has drifted: paste `perturbarena submit rules`"
    )


@pytest.mark.parametrize("track", ["a", "b", "c"])
def test_the_published_outputs(
    track: str, shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.txt").write_text("Knock out one gene: does another go up, down, or stay?")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "lookup.py").write_text("def lookup(gene):\n    return gene\n")
    argv = ["submit", "pack", str(shared / "data" / "llm_outputs" / f"kit_track_{track}_test.csv.gz")]
    argv += ["--track", track, "--prompt", str(tmp_path / "p.txt"), "-o", str(tmp_path / "s.zip")]
    argv += ["--tools", str(tmp_path / "tools")] if track == "b" else []
    argv += ["--questions", str(shared / "data" / "bioreasoning" / "test.csv"), "--json"]
    assert run(argv) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["rows"]) == (True, 1813)
    assert {p["rule"] for p in report["problems"]} == set(WARNINGS[track])
    for problem in report["problems"]:
        assert f"{WARNINGS[track][problem['rule']]:,}" in problem["message"]
