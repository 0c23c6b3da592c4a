"""``perturbarena challenge`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perturbarena.challenge.describe import markdown, schema_markdown
from perturbarena.challenge.rules import load_challenge
from perturbarena.cli import run

SECOND = Path(__file__).parents[1] / "challenge" / "second-challenge.toml"


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["challenge", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["tracks"] == ["A", "B", "C"]
    assert run(["challenge", "list"]) == 0
    assert "bioreasoning-2026" in capsys.readouterr().out


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["challenge", "show", "--markdown"]) == 0
    assert capsys.readouterr().out == markdown(load_challenge("bioreasoning-2026"))
    assert run(["challenge", "show", str(SECOND), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "yeast-heat"
    assert run(["challenge", "show", "bioreasoning-2026"]) == 0
    assert "num_tool_calls" in capsys.readouterr().out
    assert run(["challenge", "keys"]) == 0
    assert capsys.readouterr().out == schema_markdown()


def test_an_unknown_challenge(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["challenge", "show", "nope", "--json"]) == 2
    assert "bundled: bioreasoning-2026" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("name", "track"), [("bioreasoning-2026", "a"), ("bioreasoning-2026", "B"), (str(SECOND), "main")]
)
def test_a_sample_is_a_valid_table(
    name: str, track: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    questions, sample, out = tmp_path / "q.csv", tmp_path / "sample.csv", tmp_path / "s.zip"
    questions.write_text("id,pert,gene\nA_X,A,X\nA_Y,A,Y\n")
    ask = ["--track", track, "--questions", str(questions)]
    assert run(["challenge", "sample", name, *ask, "-o", str(sample)]) == 0
    if name == str(SECOND):  # here the entrant names the model
        sample.write_text(sample.read_text().replace("none\n", "my-model\n"))
        more = []
    else:
        (tmp_path / "prompt.txt").write_text("p")
        more = ["--prompt", str(tmp_path / "prompt.txt")]
    if track == "B":
        (tmp_path / "tools").mkdir()
        (tmp_path / "tools" / "t.py").write_text("")
        more += ["--tools", str(tmp_path / "tools")]
    capsys.readouterr()
    argv = ["submit", "pack", str(sample), *ask, *more, "--challenge", name, "-o", str(out), "--json"]
    assert run(argv) == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
