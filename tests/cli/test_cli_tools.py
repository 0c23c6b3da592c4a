"""``tools`` and ``mcp``: lists, calls, and what wrong input gets."""

from __future__ import annotations

import json

import pytest
from tests.tracks.tool_store import make_store

from perturbarena.cli import run


@pytest.fixture
def files(tmp_path, monkeypatch) -> dict[str, str]:
    """A store, training rows and questions."""
    train, asked = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("id,pert,gene,label\nStat2_Ifit3,Stat2,Ifit3,down\nRela_Il6,Rela,Il6,none\n")
    asked.write_text("id,pert,gene\nStat1_Ifit2,Stat1,Ifit2\n")
    return {"store": str(make_store(tmp_path / "kb", monkeypatch)), "train": str(train), "asked": str(asked)}


def test_list_marks_the_tools_that_use_labels(files, capsys):
    assert run(["tools", "list", "-k", files["store"], "--json"]) == 0
    assert not any(row["uses_training_labels"] for row in json.loads(capsys.readouterr().out))
    options = ["-k", files["store"], "--train", files["train"], "--questions", files["asked"]]
    assert run(["tools", "list", *options]) == 0
    assert capsys.readouterr().out.count("uses them") == 3


def test_call_prints_what_the_tool_answers(files, capsys):
    assert run(["tools", "call", "shared_pathways", "Stat1", "Ifit2", "-k", files["store"]]) == 0
    assert "interferon (6 genes, go-bp)" in capsys.readouterr().out
    options = ["-k", files["store"], "--train", files["train"], "--questions", files["asked"], "--json"]
    assert run(["tools", "call", "genes_like", "Ifit2", *options]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["arguments"] == {"gene": "Ifit2"}
    assert "Ifit3 (alike" in record["answer"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tools", "call", "shared_pathways", "Stat1"], "needs 2 arguments (gene_a, gene_b); got 1"),
        (["tools", "call", "oracle", "Stat1"], "no tool is called 'oracle'"),
        (["tools", "list", "--train", "TRAIN"], "--train needs --questions"),
        (["mcp", "--questions", "ASKED"], "--questions needs --train"),
        (["mcp", "--http", "8000"], "--http needs HOST:PORT"),
        (["mcp", "--http", "localhost:99999"], "--http needs HOST:PORT"),
    ],
)
def test_wrong_input_gets_one_line(files, capsys, arguments, message):
    given = [{"TRAIN": files["train"], "ASKED": files["asked"]}.get(word, word) for word in arguments]
    assert run([*given, "-k", files["store"]]) == 2
    assert message in capsys.readouterr().err
