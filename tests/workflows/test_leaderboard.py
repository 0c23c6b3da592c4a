"""What the board takes from other rooms: ceilings, audits, a model's opinion."""

from __future__ import annotations

import json

import pytest
from tests.leaderboard.board_cases import TRACK, answers, bundle, entrant, hand_in, new_store
from tests.submission.drafts import QUESTIONS, draft

from perturbarena.errors import RulesError
from perturbarena.leaderboard import AuditRequest, Worker, review_queue
from perturbarena.workflows import leaderboard
from perturbarena.workflows.leaderboard import audit_one, ceiling_rows, review_by_model, rules_text
from perturbarena.workflows.review_submission import Opinion, Review


def test_an_audit_reads_texts_and_names_no_path_of_the_server(tmp_path):
    made = draft("B")
    mine, other = made.write(tmp_path / "mine.zip"), made.write(tmp_path / "other.zip")
    request = AuditRequest(mine, made.challenge, "B", QUESTIONS, (other, tmp_path / "gone.zip"))
    report = audit_one(request)
    assert str(tmp_path / "mine.zip") not in json.dumps(report["counts"])
    assert "file" not in report
    assert report["unread"] == 1
    assert set(report["counts"]) == {"severe", "warning", "note"}
    assert sum(report["counts"].values()) == len(report["findings"]) > 0


def test_ceilings_come_from_the_question_sets_record():
    half = {"score": 0.9, "de_auroc": 0.8, "dir_auroc": 1.0, "intervals": {"score": None}}
    rows = ceiling_rows({"ceilings": {"validation": {"split_half": half}, "test": {"split_half": None}}})
    assert rows is not None
    assert set(rows) == {"public"}
    assert (rows["public"]["score"], rows["public"]["low"]) == (0.9, None)
    assert ceiling_rows({}) is None


def test_rules_are_a_bundled_name_or_a_file(tmp_path):
    assert rules_text("bioreasoning-2026").startswith("#") or "format_version" in rules_text("bioreasoning-2026")
    with pytest.raises(RulesError, match="no challenge is named"):
        rules_text("nothing-of-the-kind")


@pytest.mark.parametrize(
    ("said", "verdict"), [(["nothing found"] * 2, "sound"), (["nothing found", "look closer"], "doubtful")]
)
def test_a_models_opinion_is_recorded_as_advice(tmp_path, monkeypatch, said, verdict):
    store = new_store(tmp_path)
    receipt = hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    Worker(store).drain()
    opinions = tuple(Opinion(("a",), text, "because", ()) for text in said)
    monkeypatch.setattr(leaderboard, "review_submission", lambda *_, **__: Review("some-model", opinions))
    found, whole = review_by_model(store, receipt.submission, model="some-model", base_url=None)
    assert found.verdict == verdict
    assert whole["advisory"] is True
    verdicts = review_queue(store, TRACK)[0].verdicts
    assert [(v.kind, v.reviewer, v.verdict) for v in verdicts] == [("model", "some-model", verdict)]
    store.close()
