"""From upload to board, in SQLite and PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from tests.leaderboard.board_cases import TRACK, answers, bundle, entrant, hand_in, solution_table, truth

from perturbarena.challenge.formats import write_predictions
from perturbarena.errors import BoardError, RulesError
from perturbarena.evaluation import score_strict
from perturbarena.leaderboard import (
    Worker,
    add_baseline,
    add_review,
    announce,
    award_places,
    board_csv,
    challenge_info,
    correct_truth,
    create_token,
    disqualify_submission,
    disqualify_team,
    embargo_team,
    history,
    identify,
    list_awards,
    list_truths,
    notices,
    organisers_board,
    queue,
    read_log,
    reinstate_team,
    remaining_today,
    review_queue,
    select_finals,
    set_code_url,
    set_deadline,
    set_embargo,
    set_release,
    submission_page,
    team_page,
    unpack_submission,
    verify_chain,
    verify_receipt,
)
from perturbarena.leaderboard.board import board
from perturbarena.leaderboard.results import results
from perturbarena.leaderboard.schema import Score


@pytest.fixture
def auditor():
    def audit(request):
        assert request.path.is_file()
        return {"findings": [], "counts": {"severe": 0, "warning": len(request.against), "note": 0}}

    return audit


def test_a_submission_goes_from_receipt_to_board_to_private_board(each_store, clock, tmp_path, auditor):
    store = each_store
    good, bad = entrant(store, "Good"), entrant(store, "Guess")
    mine = hand_in(store, good, bundle(answers(skill=3), tmp_path))
    theirs = hand_in(store, bad, bundle(answers(skill=0), tmp_path))
    assert [verify_receipt(store, r.as_json()) for r in (mine, theirs)] == [[], []]
    assert board(store, TRACK).rows == ()
    Worker(store, auditor=auditor).drain()

    shown = board(store, TRACK)
    assert [(r.rank, r.team) for r in shown.rows] == [(1, "Good"), (2, "Guess")]
    assert shown.view == "public"
    labelled = truth()
    public = np.arange(len(labelled)) % 2 == 0
    expected = score_strict(labelled.take(public), answers(skill=3).take(public), rng=np.random.default_rng(0))
    assert shown.rows[0].score == round(expected.score, 3)
    assert shown.rows[0].group == 1
    assert shown.rows[1].group == 2
    assert all("private" not in str(value) for value in json.dumps(shown.as_json()).split())

    clock.forward(days=4)
    with pytest.raises(BoardError, match="deadline was"):
        hand_in(store, good, bundle(answers(skill=4), tmp_path))
    assert board(store, TRACK).view == "public"  # closed, not released
    set_release(store, clock())
    released = board(store, TRACK)
    private = score_strict(labelled.take(~public), answers(skill=3).take(~public), rng=np.random.default_rng(0))
    assert released.view == "private"
    assert released.rows[0].score == round(private.score, 3)
    given = award_places(store, TRACK, places=2)
    assert [(a.place, a.team) for a in given] == [(1, "Good"), (2, "Guess")]
    assert results(store).without_code == ("Good", "Guess")
    set_code_url(store, mine.submission, "https://example.org/code", by=good)
    assert results(store).without_code == ("Guess",)
    assert [a.code_url for a in list_awards(store)] == ["https://example.org/code", ""]
    assert verify_chain(store).ok
    assert verify_receipt(store, mine.as_json()) == []


def test_every_change_of_state_stands_in_the_log(store, tmp_path):
    team = entrant(store, "A")
    hand_in(store, team, bundle(answers(), tmp_path))
    hand_in(store, team, b"not a zip")
    Worker(store).drain()
    kinds = [e.kind for e in read_log(store)]
    assert kinds == [
        "challenge.created", "team.created", "token.created", "submission.received", "submission.received",
        "submission.checked", "submission.scored", "submission.rejected", "submission.audited",
        "submission.listed",
    ]  # fmt: skip
    text_of_log = json.dumps([e.as_json() for e in read_log(store)])
    with store.reading() as session:
        for score in session.scalars(select(Score)):
            assert str(score.score) not in text_of_log


def test_the_log_refuses_changes_and_shows_those_made_behind_its_back(each_store):
    store = each_store
    entrant(store, "A")
    for statement in ("UPDATE event SET actor = 'x'", "DELETE FROM event"):
        with pytest.raises(DBAPIError, match="append-only"), store.engine.begin() as connection:
            connection.execute(text(statement))
    with store.engine.begin() as connection:
        if store.engine.dialect.name == "sqlite":
            connection.execute(text("DROP TRIGGER event_no_update"))
        else:
            connection.execute(text("DROP TRIGGER event_append_only ON event"))
        connection.execute(text("UPDATE event SET actor = 'nobody' WHERE seq = 2"))
    chain = verify_chain(store)
    assert (chain.ok, chain.broken_at, chain.why) == (False, 2, "entry 2 was changed")


def test_a_refused_file_shows_all_its_problems_to_its_team_alone(store, tmp_path):
    mine, other = entrant(store, "Mine"), entrant(store, "Other")
    broken = bundle(answers().take(np.arange(90)), tmp_path)
    refused = hand_in(store, mine, broken)
    rubbish = hand_in(store, mine, b"PK\x03\x04 but no zip")
    Worker(store).drain()
    page = submission_page(store, refused.submission, viewer=mine)
    assert page.line.state == "rejected"
    assert {p["rule"] for p in page.problems} == {"id.missing"}
    assert len(page.problems) == 21  # 20 listed, the last counts the others
    assert "archive.unreadable" in str(submission_page(store, rubbish.submission, viewer=mine).problems)
    assert str(store.folder.path) not in str(submission_page(store, rubbish.submission, viewer=mine).problems)
    for viewer in (other, None):
        with pytest.raises(BoardError, match="no submission"):
            submission_page(store, refused.submission, viewer=viewer)
    assert team_page(store, mine.team_id, viewer=None).submissions == ()
    assert remaining_today(store, mine.team_id) == 5  # refused ones do not use up the day


def test_identical_bytes_are_taken_once(store, tmp_path):
    team, other = entrant(store, "A"), entrant(store, "B")
    content = bundle(answers(), tmp_path)
    first = hand_in(store, team, content)
    again = hand_in(store, team, content)
    assert again.repeated
    assert again.submission == first.submission
    assert again.event_hash == first.event_hash
    assert hand_in(store, other, content).submission != first.submission
    assert queue(store)["check_score"] == {"waiting": 2}
    Worker(store).drain()
    audit = submission_page(store, first.submission, viewer=_reviewer(store)).audit
    assert audit is not None
    assert audit["findings"][0]["rule"] == "duplicate.answers"
    assert "B" in audit["findings"][0]["message"]


def test_an_audit_calls_other_files_by_their_teams(store, tmp_path):
    hand_in(store, entrant(store, "First"), bundle(answers(seed=1), tmp_path))
    Worker(store).drain()
    mine = hand_in(store, entrant(store, "Second"), bundle(answers(seed=2), tmp_path))

    def auditor(request):
        finding = {"message": f"{request.path.name} and {request.against[0].name} share texts", "rows": ["a"]}
        return {"findings": [finding], "counts": {"severe": 0, "warning": 0, "note": 1}}

    Worker(store, auditor=auditor).drain()
    audit = submission_page(store, mine.submission, viewer=_reviewer(store)).audit
    assert audit is not None
    assert audit["findings"] == [{"message": "this submission and First share texts", "rows": ["a"]}]


def test_repacked_answers_score_the_same_to_the_last_bit(store, tmp_path):
    team = entrant(store, "A")
    for mark in ("one", "two"):
        hand_in(store, team, bundle(answers(), tmp_path, mark=mark))
    Worker(store).drain()
    with store.reading() as session:
        scores = session.scalars(select(Score).order_by(Score.part, Score.id)).all()
    assert len(scores) == 4
    for one, two in (scores[:2], scores[2:]):
        assert (one.score, one.low, one.high) == (two.score, two.low, two.high)


def test_the_days_limit_counts_what_is_not_refused_and_ends_at_midnight_utc(store, clock, tmp_path):
    team = entrant(store, "A")
    for i in range(5):
        hand_in(store, team, bundle(answers(seed=i), tmp_path))
    with pytest.raises(BoardError, match="5 a day") as caught:
        hand_in(store, team, bundle(answers(seed=9), tmp_path))
    assert caught.value.reason == "limit"
    assert not list(store.folder.incoming.iterdir())
    clock.forward(hours=15)
    hand_in(store, team, bundle(answers(seed=9), tmp_path))
    assert remaining_today(store, team.team_id) == 4


def test_finals_are_chosen_within_the_limit_the_time_and_the_own_team(store, clock, tmp_path):
    mine, other = entrant(store, "Mine"), entrant(store, "Other")
    ids = [hand_in(store, mine, bundle(answers(skill=3 - i), tmp_path)).submission for i in range(3)]
    foreign = hand_in(store, other, bundle(answers(skill=1, seed=5), tmp_path)).submission
    Worker(store).drain()
    with pytest.raises(BoardError, match="at most 2"):
        select_finals(store, ids, track=TRACK, by=mine)
    with pytest.raises(BoardError, match="has no submission"):
        select_finals(store, [foreign], track=TRACK, by=mine)
    with pytest.raises(RulesError):
        select_finals(store, ids[:1], track="nope", by=mine)
    worst = ids[2]
    select_finals(store, [worst], track=TRACK, by=mine)
    lines = {line.id: line for line in team_page(store, mine.team_id, viewer=mine).submissions}
    assert [lines[i].final for i in ids] == [False, False, True]
    assert board(store, TRACK).rows[0].submission == ids[0]  # the public board shows the best, chosen or not
    clock.forward(days=4)
    with pytest.raises(BoardError, match="deadline"):
        select_finals(store, ids[:1], track=TRACK, by=mine)
    set_release(store, clock())
    row = next(r for r in board(store, TRACK).rows if r.team == "Mine")
    assert row.submission == worst


def test_a_team_that_chose_nothing_is_judged_by_its_best_public_ones(store, clock, tmp_path):
    team = entrant(store, "A")
    ids = [hand_in(store, team, bundle(answers(skill=s, seed=7), tmp_path)).submission for s in (0, 1, 3)]
    Worker(store).drain()
    lines = {line.id: line for line in team_page(store, team.team_id, viewer=None).submissions}
    public = {i: lines[i].public.score for i in ids}
    assert {i for i in ids if lines[i].final} == set(sorted(ids, key=lambda i: -public[i])[:2])


def test_disqualified_rows_stay_with_their_reason_and_without_a_rank(store, tmp_path):
    first, second = entrant(store, "First"), entrant(store, "Second")
    top = hand_in(store, first, bundle(answers(skill=3), tmp_path))
    hand_in(store, second, bundle(answers(skill=1), tmp_path))
    Worker(store).drain()
    disqualify_team(store, "first", reason="answers by hand")
    rows = board(store, TRACK).rows
    assert [(r.team, r.rank, r.note) for r in rows] == [
        ("Second", 1, ""), ("First", None, "disqualified: answers by hand"),
    ]  # fmt: skip
    reinstate_team(store, "First", reason="appeal")
    assert board(store, TRACK).rows[0].team == "First"
    disqualify_submission(store, top.submission, reason="broken rules")
    assert board(store, TRACK).rows[0].team == "Second"
    disqualify_submission(store, top.submission, reason="")
    assert board(store, TRACK).rows[0].team == "First"


def test_an_embargoed_team_is_hidden_until_its_time_comes(store, clock, tmp_path):
    team = entrant(store, "Quiet")
    mine = hand_in(store, team, bundle(answers(), tmp_path))
    Worker(store).drain()
    embargo_team(store, "Quiet", until=clock.at.replace(day=12), reason="patent")
    assert board(store, TRACK).rows == ()
    assert history(store, TRACK) == []
    with pytest.raises(BoardError, match="no team"):
        team_page(store, team.team_id, viewer=None)
    with pytest.raises(BoardError, match="no submission"):
        submission_page(store, mine.submission, viewer=None)
    assert team_page(store, team.team_id, viewer=team).own
    clock.forward(days=2)
    assert [r.team for r in board(store, TRACK).rows] == ["Quiet"]


def test_nothing_private_is_shown_while_an_embargo_lasts(store, clock, tmp_path):
    team = entrant(store, "A")
    mine = hand_in(store, team, bundle(answers(), tmp_path))
    Worker(store).drain()
    clock.forward(days=4)
    set_embargo(store, clock.at.replace(day=20), reason="until the paper is out")
    set_release(store, clock())
    assert challenge_info(store).phase == "closed"
    assert submission_page(store, mine.submission, viewer=team).line.private is None
    with pytest.raises(BoardError, match="once the private board is out"):
        results(store)
    clock.forward(days=10)
    assert challenge_info(store).phase == "released"
    assert submission_page(store, mine.submission, viewer=team).line.private is not None


def test_baselines_and_the_ceiling_stand_without_a_rank(tmp_path, clock):
    from tests.leaderboard.board_cases import new_store

    ceiling = {"public": {"score": 0.9712, "low": 0.9, "high": 1.0, "note": "a replicate"}}
    store = new_store(tmp_path, clock=clock, ceiling=ceiling)
    table = tmp_path / "base.csv"
    write_predictions(table, answers(skill=5))
    add_baseline(store, "Means of genes", table)
    hand_in(store, entrant(store, "A"), bundle(answers(skill=1, seed=3), tmp_path))
    Worker(store).drain()
    rows = board(store, TRACK).rows
    assert [(r.kind, r.rank, r.team, r.score is not None) for r in rows] == [
        ("entry", 1, "A", True),
        ("baseline", None, "Means of genes", True),
        ("ceiling", None, "Noise ceiling", True),
    ]  # fmt: skip
    assert rows[2].score == 0.971


def test_a_corrected_truth_is_a_new_version_and_old_scores_stay(each_store, tmp_path):
    store = each_store
    hand_in(store, entrant(store, "A"), bundle(answers(skill=3), tmp_path))
    Worker(store).drain()
    before = board(store, TRACK).rows[0].score
    table = solution_table(truth())
    table["label"] = table["label"].map({"up": "down", "down": "up", "none": "none"})
    corrected = tmp_path / "corrected.csv"
    table.to_csv(corrected, index=False)
    assert correct_truth(store, corrected, reason="up and down were swapped").number == 2
    assert board(store, TRACK).rows == ()  # nothing is scored under the new truth yet
    assert Worker(store).drain() == 1
    after = board(store, TRACK)
    assert after.truth_version == 2
    assert after.rows[0].score < before
    with store.reading() as session:
        assert len(session.scalars(select(Score)).all()) == 4
    assert [(t.number, t.current, t.n_scored) for t in list_truths(store)] == [(1, False, 1), (2, True, 1)]
    with pytest.raises(BoardError, match="is the current truth"):
        correct_truth(store, corrected, reason="again")
    assert (store.folder.truth / "truth-1.csv").stat().st_mode & 0o777 == 0o600


def test_a_truth_corrected_while_a_submission_is_scored_is_not_missed(store, tmp_path, monkeypatch):
    from perturbarena.leaderboard import pipeline

    hand_in(store, entrant(store, "A"), bundle(answers(skill=3), tmp_path))
    table = solution_table(truth())
    table.loc[0, "label"] = "none" if table.loc[0, "label"] != "none" else "up"
    corrected = tmp_path / "corrected.csv"
    table.to_csv(corrected, index=False)
    real = pipeline._judge

    def slow(*args, **kwargs):
        found = real(*args, **kwargs)
        if not corrected.with_suffix(".done").exists():
            corrected.with_suffix(".done").touch()
            correct_truth(store, corrected, reason="one label")
        return found

    monkeypatch.setattr(pipeline, "_judge", slow)
    Worker(store).drain()
    assert board(store, TRACK).truth_version == 2
    assert [row.team for row in board(store, TRACK).rows] == ["A"]


def test_an_organiser_takes_the_files_out_and_a_path_does_not_climb(store, tmp_path):
    team = entrant(store, "A")
    evil = io.BytesIO(bundle(answers(), tmp_path))
    with zipfile.ZipFile(evil, "a") as archive:
        archive.writestr("../../climbed.txt", "x")
        archive.writestr("tools/fine.py", "raise SystemExit('must not run')")
    mine = hand_in(store, team, evil.getvalue())
    assert unpack_submission(store, mine.submission, tmp_path / "entry") == ["predictions.csv", "tools/fine.py"]
    assert (tmp_path / "entry" / "tools" / "fine.py").is_file()
    assert not list(tmp_path.rglob("climbed.txt"))
    with pytest.raises(BoardError, match="is there already"):
        unpack_submission(store, mine.submission, tmp_path / "entry")
    with pytest.raises(BoardError, match="no submission"):
        unpack_submission(store, "nope", tmp_path / "other")


def test_reviews_and_the_queue_of_the_best(store, tmp_path):
    for i in range(7):
        hand_in(store, entrant(store, f"Team {i}"), bundle(answers(skill=i, seed=i), tmp_path))
    Worker(store).drain()
    items = review_queue(store, TRACK)
    assert len(items) == 5
    assert items[0].rank == 1
    judge = _reviewer(store)
    add_review(store, items[0].submission, verdict="doubtful", reason="odd traces", by=judge)
    add_review(store, items[0].submission, verdict="sound", reason="explained", novelty=4, by=judge)
    add_review(store, items[0].submission, verdict="sound", reason="nothing found", kind="model", reviewer="qwen")
    verdicts = review_queue(store, TRACK)[0].verdicts
    assert [(v.reviewer, v.kind, v.verdict, v.novelty) for v in verdicts] == [
        ("Prof. Curie", "expert", "sound", 4), ("qwen", "model", "sound", None),
    ]  # fmt: skip
    with pytest.raises(BoardError, match="needs a token with the scope review"):
        add_review(store, items[0].submission, verdict="sound", reason="me too", by=entrant(store, "Sly"))
    with pytest.raises(BoardError, match="novelty is 1 to 5"):
        add_review(store, items[0].submission, verdict="sound", reason="x", novelty=9, by=judge)


def test_exports_are_no_formulas(store, tmp_path):
    hand_in(store, entrant(store, '=HYPERLINK("http://x","y")'), bundle(answers(), tmp_path))
    Worker(store).drain()
    rows = list(csv.DictReader(io.StringIO(board_csv(board(store, TRACK)))))
    assert rows[0]["team"] == '\'=HYPERLINK("http://x","y")'
    assert float(rows[0]["score"]) == board(store, TRACK).rows[0].score


def test_odd_texts_are_kept_by_either_database(each_store, tmp_path):
    store = each_store
    mine = hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    Worker(store).drain()
    odd = "nul \0, half \ud800, rtl \u202e, '; DROP TABLE team;--"
    announce(store, odd)
    add_review(store, mine.submission, verdict="sound", reason=odd, by=_reviewer(store))
    disqualify_submission(store, mine.submission, reason=odd)
    disqualify_team(store, "A", reason=odd)
    assert notices(store)[0].text.startswith("nul \N{REPLACEMENT CHARACTER}, half ?, rtl")
    for wrong in ("\0", "\ud800", "' OR 1=1 --", "x" * 500):
        with pytest.raises(BoardError, match="no submission"):
            submission_page(store, wrong, viewer=None)
    assert verify_chain(store).ok


def test_history_tells_the_records(store, clock, tmp_path):
    team = entrant(store, "A")
    for skill in (0, 3, 1):
        hand_in(store, team, bundle(answers(skill=skill, seed=2), tmp_path))
        clock.forward(minutes=5)
    Worker(store).drain()
    points = history(store, TRACK)
    assert [p.record for p in points] == [True, True, False]
    assert points == sorted(points, key=lambda p: p.at)


def test_the_kept_board_is_made_anew_when_something_changes(store, clock, tmp_path):
    hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    Worker(store).drain()
    first = board(store, TRACK)
    assert board(store, TRACK) is first
    set_deadline(store, clock.at.replace(day=11))
    assert board(store, TRACK) is not first


def test_organisers_may_look_at_the_private_part(store, tmp_path):
    hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    Worker(store).drain()
    private = organisers_board(store, TRACK, view="private")
    assert private.rows[0].score != board(store, TRACK).rows[0].score


def _reviewer(store):
    found = identify(store, create_token(store, team=None, scopes=("review",), label="Prof. Curie").secret)
    assert found is not None
    return found
