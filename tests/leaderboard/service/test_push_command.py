"""``submit push`` against a running board."""

from __future__ import annotations

import json

import pytest
from tests.leaderboard.service.live import served

from perturbarena.cli import main
from perturbarena.leaderboard.submissions import verify_receipt


def run(capsys, *argv: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as exit_:
        main(list(argv))
    out = capsys.readouterr()
    return int(exit_.value.code or 0), out.out, out.err


def test_push_hands_in_waits_and_keeps_the_receipt(trial, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PERTURBARENA_TOKEN", trial.team("Alpha"))
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(trial.zip())
    bad.write_bytes(trial.zip(break_rows=1))
    with served(trial.store) as address:
        argv = ("--track", "C", "--server", address, "--wait", "60")
        code, out, _ = run(capsys, "submit", "push", str(good), *argv)
        assert code == 0
        assert "public score 0." in out
        receipt = json.loads((tmp_path / "good.receipt.json").read_text())
        assert verify_receipt(trial.store, receipt) == []
        code, out, _ = run(capsys, "submit", "push", str(good), *argv, "--json")
        told = json.loads(out)
        assert told["receipt"]["repeated"] is True
        assert told["submission"]["line"]["state"] == "listed"
        code, out, _ = run(capsys, "submit", "push", str(bad), *argv)
        assert code == 1
        assert "probability.range" in out
        code, _, err = run(capsys, "submit", "push", str(good), "--track", "Q", "--server", address)
        assert code == 2
        assert "has the tracks A, B, C; got 'Q'" in err
        monkeypatch.setenv("PERTURBARENA_TOKEN", "pa_wrong")
        code, _, err = run(capsys, "submit", "push", str(good), *argv)
        assert code == 2
        assert "not valid" in err
    monkeypatch.delenv("PERTURBARENA_TOKEN")
    code, _, err = run(capsys, "submit", "push", str(good), *argv)
    assert code == 2
    assert "PERTURBARENA_TOKEN" in err
