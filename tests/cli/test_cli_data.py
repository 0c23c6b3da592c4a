"""``perturbarena data`` as its users call it; no network is touched."""

from __future__ import annotations

import json

import pytest

from perturbarena.cli import run


def test_list_and_show(capsys):
    assert run(["data", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[0]["name"] == "bioreasoning-2026"
    assert run(["data", "show", "bioreasoning-2026", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["licence"] == "none stated"
    assert [file["path"] for file in shown["files"]] == ["train.csv", "test.csv"]
    assert run(["data", "list"]) == 0
    assert run(["data", "show", "bioreasoning-2026"]) == 0
    printed = capsys.readouterr().out
    assert "licence: none stated" in printed
    assert shown["files"][0]["sha256"] in printed


def test_get_from_a_folder(shared, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PERTURBARENA_CACHE", str(tmp_path / "cache"))
    source = str(shared / "data/bioreasoning")
    assert run(["data", "get", "bioreasoning-2026", "--from", source, "-o", str(tmp_path / "out"), "--json"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert [file["how"] for file in got["files"]] == ["copied", "copied"]
    assert (tmp_path / "out/train.csv").stat().st_size == 223222
    assert run(["data", "get", "bioreasoning-2026", "-o", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert "cached:" in captured.out
    assert "cite:" in captured.out
    assert captured.err == ""


@pytest.mark.parametrize("arguments", [["get", "nothing"], ["show", "nothing"]])
def test_an_unknown_name_is_refused(arguments, capsys):
    assert run(["data", *arguments, "--json"]) == 2
    assert "no data set is called 'nothing'" in json.loads(capsys.readouterr().out)["error"]
