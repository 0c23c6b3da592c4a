"""``perturbarena benchmark import`` and ``export`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perturbarena.cli import run

TEXT = "target,KO,change,split\nX,A,1,train\nY,A,0,train\nX,B,1,test\nY,B,-1,test\nZ,B,0,test\n"
MAP = ["--map", "pert=KO,gene=target,label=change", "--labels", "up=1,down=-1,none=0"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("my.csv").write_text(TEXT)
    return tmp_path


def imported(capsys: pytest.CaptureFixture[str]) -> dict:
    command = ["benchmark", "import", "csv", "my.csv", *MAP, "-o", "bench", "--truth", "truth", "--json"]
    assert run(command) == 0
    return json.loads(capsys.readouterr().out)


def test_a_csv_goes_in_and_out(here, capsys):
    said = imported(capsys)
    assert said["labels"] == {"train": {"up": 1, "down": 0, "none": 1}, "hidden": {"up": 1, "down": 1, "none": 1}}
    export = ["benchmark", "export", "bench", "--truth", "truth", "--to"]
    assert run([*export, "kaggle", "-o", "k", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert "organiser/solution.csv" in out["organiser"]
    assert all(name.startswith("data/") for name in out["public"])
    assert run(["benchmark", "export", "bench", "--to", "huggingface", "-o", "h"]) == 0
    assert "data/test-00000-of-00001.parquet" in capsys.readouterr().out
    assert (
        run(
            [
                "benchmark",
                "import",
                "challenge",
                "k/data",
                "--solution",
                "k/organiser",
                "--truth",
                "t2",
                "-o",
                "b2",
            ]
        )
        == 0
    )
    assert (here / "b2" / "test.csv").read_bytes() == (here / "bench" / "test.csv").read_bytes()


def test_people_see_counts_and_the_private_half(here, capsys):
    command = [
        "benchmark",
        "import",
        "csv",
        "my.csv",
        *MAP,
        "--licence",
        "MIT [v1]",
        "-o",
        "bench",
        "--truth",
        "truth",
    ]
    assert run(command) == 0
    out = capsys.readouterr().out
    assert "hidden" in out
    assert "licence: MIT [v1]" in out
    assert run(["benchmark", "export", "bench", "--truth", "truth", "--to", "kaggle", "-o", "k"]) == 0
    captured = capsys.readouterr()
    assert "organisers only" in captured.out
    assert "no hidden row has the Usage Public" in captured.err
    assert "the rules of bioreasoning-2026, made for another question set" in captured.err


def test_perturbqa(here, capsys):
    header = "pert,gene,label,split\n"
    Path("c-de.csv").write_text(header + "A,X,1,train\nA,Y,1,train\nB,X,0,test\n")
    Path("c-dir.csv").write_text(header + "A,X,1,train\n")
    command = ["benchmark", "import", "perturbqa", ".", "--cell-line", "c", "-o", "bench", "--truth", "truth"]
    assert run(command) == 0
    assert "left out, moved, but without a row in -dir: 1" in capsys.readouterr().out
    assert run([*command, "--json"]) == 2
    assert "is there already" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["import", "csv", "my.csv", "-o", "b"], "needs the column pert for pert (--map pert=…)"),
        (["import", "csv", "my.csv", *MAP, "-o", "b"], "3 hidden rows have labels"),
        (["export", "bench", "--to", "kaggle", "-o", "k"], "--truth"),
        (["export", "bench", "--truth", "truth", "--to", "huggingface", "-o", "k"], "leave --truth out"),
        (["export", "nowhere", "--to", "huggingface", "-o", "k"], "no such file"),
    ],
)
def test_what_is_missing_is_said(here, capsys, command, message):
    imported(capsys)
    assert run(["benchmark", *command, "--json"]) == 2
    assert message in json.loads(capsys.readouterr().out)["error"]
    assert not (here / "k").exists()
    assert not (here / "b").exists()
