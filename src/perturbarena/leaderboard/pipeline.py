"""What becomes of a submission: received → checked → scored → audited → listed.

The work is done outside any transaction; what it found is written in one, together with the end of its job. A
submission is data: it is parsed, and nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from perturbarena.challenge.formats import read_predictions
from perturbarena.challenge.records import Predictions, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError, InputError
from perturbarena.evaluation import MEASURES, Scored
from perturbarena.leaderboard.board import current_truth
from perturbarena.leaderboard.events import record
from perturbarena.leaderboard.jobs import Lease, enqueue, finish
from perturbarena.leaderboard.schema import AuditResult, Replicate, Score, Submission, Team, TruthVersion
from perturbarena.leaderboard.store import Store, bump
from perturbarena.leaderboard.teams import BASELINE
from perturbarena.leaderboard.truths import bench_of
from perturbarena.submission import Answers, Report, check_submission, read_answers

AUDIT_AGAINST: Final = 20
"""How many other teams' newest submissions of the track an audit is compared with, text by text."""
MAX_LOOKED_AT: Final = 1000
"""Among so many of the newest submissions the teams are looked for."""


@dataclass(frozen=True, slots=True)
class AuditRequest:
    """What an auditor is given: a stored zip, and others to compare it with."""

    path: Path
    challenge: Challenge
    track: str
    questions: Questions
    against: tuple[Path, ...]


Auditor = Callable[[AuditRequest], dict[str, Any]]
"""Audits a submission and returns the report as JSON, with ``findings`` and ``counts`` by severity."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What checking and scoring found; ``scores`` by part, empty where the check refused."""

    problems: list[dict[str, Any]]
    n_rows: int | None
    answers: Answers | None
    disclosure: dict[str, Any] | None
    scores: dict[str, Scored]


def check_and_score(store: Store, held: Lease) -> str:
    """Check a submission and score it on both parts; the state it is in then.

    Raises
    ------
    LeaseLostError
        If the job was taken over meanwhile: nothing is written.
    """
    with store.reading() as session:
        row = session.get_one(Submission, held.submission_id)
        baseline = session.get_one(Team, row.team_id).kind == BASELINE
        truth = current_truth(session)
    judged = _judge(store, row, truth.id, baseline=baseline)
    with store.writing() as session:
        finish(session, held, now=store.now())
        row = session.get_one(Submission, held.submission_id)
        row.problems, row.n_rows = judged.problems, judged.n_rows
        subject = f"submission:{row.public_id}"
        if not judged.scores:
            row.state = "rejected"
            record(
                session,
                at=store.now(),
                actor="worker",
                kind="submission.rejected",
                subject=subject,
                problems=len(judged.problems),
            )
            return row.state
        _describe(row, judged)
        record(session, at=store.now(), actor="worker", kind="submission.checked", subject=subject)
        _keep_scores(session, store, row, truth, judged.scores)
        row.state = "listed" if baseline else "scored"
        newest = current_truth(session)
        if newest.id != truth.id:  # corrected while this was being scored
            enqueue(session, "rescore", row.id, now=store.now(), truth_version_id=newest.id)
        if baseline:
            row.listed_at = store.now()
            bump(session)
        else:
            enqueue(session, "audit", row.id, now=store.now())
        return row.state


def rescore(store: Store, held: Lease) -> None:
    """Score a submission under a later truth version; earlier scores stay."""
    if held.truth_version_id is None:
        raise ValueError("a job to score anew names a truth version")
    with store.reading() as session:
        row = session.get_one(Submission, held.submission_id)
        baseline = session.get_one(Team, row.team_id).kind == BASELINE
    answers = _read(store, row, baseline=baseline)
    scores = _score(store, answers.predictions, held.truth_version_id)
    with store.writing() as session:
        finish(session, held, now=store.now())
        truth = session.get_one(TruthVersion, held.truth_version_id)
        _keep_scores(session, store, session.get_one(Submission, held.submission_id), truth, scores)
        bump(session)


def audit(store: Store, held: Lease, auditor: Auditor | None) -> None:
    """Audit a submission and list it. Findings are evidence for people: none keeps a submission off the board.

    Without an auditor only copies of other teams' answers are looked for.
    """
    with store.reading() as session:
        row = session.get_one(Submission, held.submission_id)
        against = _others(session, store, row)
        copies = _same_answers(session, row)
    report: dict[str, Any] = {"findings": [], "counts": {"severe": 0, "warning": 0, "note": 0}}
    if auditor is not None:
        path = store.folder.file(row.sha256)
        report = auditor(AuditRequest(path, store.rules, row.track, store.questions, tuple(against)))
        names = {path.name: "this submission"} | {other.name: team for other, team in against.items()}
        report = _named(report, names)
    report = _with_copies(report, copies)
    counts = report["counts"]
    with store.writing() as session:
        finish(session, held, now=store.now())
        row = session.get_one(Submission, held.submission_id)
        session.merge(
            AuditResult(
                submission_id=row.id,
                audited_at=store.now(),
                severe=counts["severe"],
                warning=counts["warning"],
                note=counts["note"],
                report=report,
            )
        )
        row.state, row.listed_at = "listed", row.listed_at or store.now()
        bump(session)
        subject = f"submission:{row.public_id}"
        record(session, at=store.now(), actor="worker", kind="submission.audited", subject=subject, **counts)
        record(session, at=store.now(), actor="worker", kind="submission.listed", subject=subject)


def _judge(store: Store, row: Submission, truth_id: int, *, baseline: bool) -> _Judged:
    try:
        report = None if baseline else _check(store, row)
        if report is not None and not report.ok:
            return _Judged([p.to_json() for p in report.problems], report.n_rows, None, None, {})
        answers = _read(store, row, baseline=baseline)
        scores = _score(store, answers.predictions, truth_id)
    except FormatError as error:  # no zip at all, or one that is damaged; for baselines, no such table
        message = str(error).replace(str(store.folder.file(row.sha256)), row.filename)
        return _Judged([_problem("archive.unreadable", message)], None, None, None, {})
    except InputError as error:
        return _Judged([_problem("score.refused", str(error))], None, None, None, {})
    problems = [] if report is None else [p.to_json() for p in report.problems]
    disclosure = None if report is None or report.disclosure is None else report.disclosure.model_dump()
    return _Judged(problems, len(answers.predictions), answers, disclosure, scores)


def _check(store: Store, row: Submission) -> Report:
    return check_submission(
        store.folder.file(row.sha256), challenge=store.rules, track=row.track, questions=store.questions
    )


def _read(store: Store, row: Submission, *, baseline: bool) -> Answers:
    path = store.folder.file(row.sha256)
    if not baseline:
        return read_answers(path, challenge=store.rules, track=row.track, questions=store.questions)
    found = read_predictions(path)
    position = {id_: i for i, id_ in enumerate(found.id)}
    missing = next((id_ for id_ in store.questions.id if id_ not in position), None)
    if missing is not None:
        raise FormatError(f"{row.filename}: the question {missing} has no row")
    order = np.array([position[id_] for id_ in store.questions.id], np.int64)
    return Answers(found.take(order), "", None, None)


def _score(store: Store, predictions: Predictions, truth_id: int) -> dict[str, Scored]:
    bench = bench_of(store, truth_id)
    return {part: judge.score(predictions.take(bench.rows[part])) for part, judge in bench.judges.items()}


def _problem(rule: str, message: str) -> dict[str, Any]:
    return {"rule": rule, "message": message, "row": None, "column": None, "severity": "error"}


def _describe(row: Submission, judged: _Judged) -> None:
    answers = judged.answers
    if answers is None:
        return
    both = np.stack([answers.predictions.p_up, answers.predictions.p_down])
    row.answers_sha256 = hashlib.sha256(both.tobytes()).hexdigest()
    row.model, row.tokens, row.tool_calls = answers.model[:200] or None, answers.tokens, answers.tool_calls
    row.disclosure = judged.disclosure
    row.code_url = (judged.disclosure or {}).get("code_url")


def _keep_scores(
    session: Session, store: Store, row: Submission, truth: TruthVersion, scores: dict[str, Scored]
) -> None:
    seals = {}
    for part, (result, replicates) in scores.items():
        interval = result.intervals["score"]
        whole = result.as_json()
        score = Score(
            submission_id=row.id,
            truth_version_id=truth.id,
            part=part,
            n=result.n,
            df=min(result.n_perts, result.n_genes) - 1,
            extras=whole,
            scored_at=store.now(),
            score=whole["score"],
            de=whole["de_auroc"],
            dir=whole["dir_auroc"],
            low=None if interval is None else interval.low,
            high=None if interval is None else interval.high,
        )
        session.add(score)
        session.flush()
        session.add(Replicate(score_id=score.id, content=replicates.tobytes()))
        text = json.dumps({name: whole[name] for name in MEASURES}, sort_keys=True)
        seals[part] = hashlib.sha256(text.encode() + replicates.tobytes()).hexdigest()
    record(
        session,
        at=store.now(),
        actor="worker",
        kind="submission.scored",
        subject=f"submission:{row.public_id}",
        truth=truth.number,
        seals=seals,
    )


def _named(value: Any, names: dict[str, str]) -> Any:
    """A report in which stored files are called by their teams: people know teams, not hashes."""
    if isinstance(value, str):
        for file, team in names.items():
            value = value.replace(file, team)
        return value
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    return {key: _named(one, names) for key, one in value.items()} if isinstance(value, dict) else value


def _others(session: Session, store: Store, row: Submission) -> dict[Path, str]:
    """The newest listed submission of each other team in the track, and the team; the newest first."""
    query = (
        select(Team.name, Submission.sha256)
        .join(Team, Team.id == Submission.team_id)
        .where(
            Submission.track == row.track,
            Submission.team_id != row.team_id,
            Submission.state == "listed",
            Team.kind != BASELINE,
            Submission.sha256 != row.sha256,
        )
        .order_by(Submission.id.desc())
    )
    newest: dict[str, str] = {}
    for team, sha in session.execute(query.limit(MAX_LOOKED_AT)):
        newest.setdefault(team, sha)
    return {store.folder.file(sha): team for team, sha in list(newest.items())[:AUDIT_AGAINST]}


def _same_answers(session: Session, row: Submission) -> list[str]:
    """Other teams whose predictions are the same, number for number."""
    query = (
        select(Team.name)
        .join(Submission, Submission.team_id == Team.id)
        .where(Submission.answers_sha256 == row.answers_sha256, Submission.team_id != row.team_id)
        .distinct()
        .order_by(Team.name)
    )
    return list(session.scalars(query))


def _with_copies(report: dict[str, Any], teams: list[str]) -> dict[str, Any]:
    if not teams:
        return report
    shown = ", ".join(teams[:5]) + (", …" if len(teams) > 5 else "")
    finding = {
        "rule": "duplicate.answers",
        "severity": "severe",
        "rows": [],
        "message": f"all predictions equal those of {shown}",
    }
    counts = report["counts"] | {"severe": report["counts"]["severe"] + 1}
    return report | {"findings": [finding, *report["findings"]], "counts": counts}
