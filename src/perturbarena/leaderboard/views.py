"""What one viewer may see of a team or a submission.

Everybody sees what the board says. A team sees its own submissions whole, with every problem; organisers and
reviewers see the audit too. Nobody is shown a private number before the release: organisers read private scores
on the server's command line, where no page can leak them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.board import Candidate, current_truth, final_ids, rounded
from perturbarena.leaderboard.events import stamp
from perturbarena.leaderboard.identity import Identity
from perturbarena.leaderboard.phases import Phase, phase_of
from perturbarena.leaderboard.schema import AuditResult, Score, Submission, Team
from perturbarena.leaderboard.store import Store, challenge_row
from perturbarena.leaderboard.submissions import Receipt, receipt_of, submission_row
from perturbarena.leaderboard.teams import BASELINE, TeamRecord, get_team


@dataclass(frozen=True, slots=True)
class ShownScore:
    """A score as it may be shown, rounded; ``part`` is public or private."""

    part: str
    truth_version: int
    score: float | None
    low: float | None
    high: float | None
    de: float | None
    dir: float | None
    n: int


@dataclass(frozen=True, slots=True)
class SubmissionLine:
    """A submission in a list. ``public`` and ``private`` are None where there is no score, or none to be shown.

    ``final`` says that it counts on the private board, ``chosen`` that the team chose it. ``filename`` and
    ``note`` are the team's own words, empty for others.
    """

    id: str
    team: str
    team_id: int
    track: str
    filename: str
    note: str
    received_at: datetime
    state: str
    n_problems: int
    chosen: bool
    final: bool
    public: ShownScore | None
    private: ShownScore | None
    model: str
    tokens: float | None
    tool_calls: float | None
    code_url: str
    disqualified_reason: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"received_at": stamp(self.received_at)}


@dataclass(frozen=True, slots=True)
class SubmissionPage:
    """A submission in full. ``problems`` and ``receipt`` are its team's and the organisers', ``sha256`` and
    ``disclosure`` the reviewers' too, ``audit`` the organisers' and reviewers'; None or empty for others."""

    line: SubmissionLine
    problems: tuple[dict[str, Any], ...]
    receipt: Receipt | None
    sha256: str
    disclosure: dict[str, Any] | None
    audit: dict[str, Any] | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        receipt = None if self.receipt is None else self.receipt.as_json()
        return asdict(self) | {"line": self.line.as_json(), "problems": list(self.problems), "receipt": receipt}


@dataclass(frozen=True, slots=True)
class TeamPage:
    """A team and its submissions, newest first: all of them for its members, the listed ones for others."""

    team: TeamRecord
    own: bool
    submissions: tuple[SubmissionLine, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        lines = [line.as_json() for line in self.submissions]
        return {"team": self.team.as_json(), "own": self.own, "submissions": lines}


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One listed submission in time: its public score, and whether it was the best of the track until then."""

    at: datetime
    team: str
    team_id: int
    submission: str
    score: float
    record: bool


def team_page(store: Store, team_id: int, *, viewer: Identity | None) -> TeamPage:
    """A team's page.

    Raises
    ------
    BoardError
        If there is no such team, or it is under embargo and not the viewer's (missing).
    """
    team = get_team(store, team_id)
    own = viewer is not None and (viewer.team_id == team_id or viewer.may("organise"))
    hidden = team.embargo_until is not None and store.now() < team.embargo_until
    if hidden and not own:
        raise BoardError(f"there is no team {team_id}", reason="missing")
    with store.reading() as session:
        query = select(Submission).where(Submission.team_id == team_id).order_by(Submission.id.desc())
        rows = [row for row in session.scalars(query) if own or row.state == "listed"]
        return TeamPage(team, own, tuple(_lines(session, store, rows, own=own)))


def submission_page(store: Store, public_id: str, *, viewer: Identity | None) -> SubmissionPage:
    """A submission's page; BoardError (missing) where there is none that the viewer may see."""
    missing = BoardError(f"there is no submission {public_id[:40]!r}", reason="missing")
    with store.reading() as session:
        row = submission_row(session, public_id)
        team = session.get_one(Team, row.team_id)
        own = viewer is not None and (viewer.team_id == row.team_id or viewer.may("organise"))
        judge = viewer is not None and viewer.may("review")
        embargoed = team.embargo_until is not None and store.now() < team.embargo_until
        if not (own or judge) and (row.state != "listed" or embargoed):
            raise missing
        audit = session.get(AuditResult, row.id) if judge else None
        line = _lines(session, store, [row], own=own or judge)[0]
    return SubmissionPage(
        line,
        tuple(row.problems) if own else (),
        receipt_of(store, public_id) if own else None,
        row.sha256 if own or judge else "",
        row.disclosure if own or judge else None,
        None if audit is None else audit.report,
    )


def own_submissions(store: Store, viewer: Identity, *, track: str | None = None) -> list[SubmissionLine]:
    """The viewer's team's submissions, newest first, of one track or of all."""
    team_id = viewer.need_team()
    lines = team_page(store, team_id, viewer=viewer).submissions
    wanted = None if track is None else store.rules.track_name(track)
    return [line for line in lines if wanted is None or line.track == wanted]


def history(store: Store, track: str) -> list[HistoryPoint]:
    """Listed submissions of a track as they came, with their public scores; RulesError without the track."""
    track = store.rules.track_name(track)
    now = store.now()
    with store.reading() as session:
        truth = current_truth(session)
        query = (
            select(Submission, Team, Score.score)
            .join(Team, Team.id == Submission.team_id)
            .join(Score, Score.submission_id == Submission.id)
            .where(Submission.track == track, Submission.state == "listed", Team.kind != BASELINE)
            .where(Score.truth_version_id == truth.id, Score.part == "public", Score.score.is_not(None))
            .where(Team.disqualified_at.is_(None), Submission.disqualified_at.is_(None))
            .order_by(Submission.received_at, Submission.id)
        )
        points, best = [], float("-inf")
        for row, team, value in session.execute(query):
            if team.embargo_until is not None and now < team.embargo_until:
                continue
            score = rounded(value) or 0.0
            points.append(HistoryPoint(row.received_at, team.name, team.id, row.public_id, score, score > best))
            best = max(best, score)
        return points


def _lines(session: Session, store: Store, rows: Sequence[Submission], *, own: bool) -> list[SubmissionLine]:
    phase = phase_of(challenge_row(session), store.now())
    scores = _scores(session, [row.id for row in rows])
    names = {team.id: team.name for team in session.scalars(select(Team))} if len(rows) > 1 else {}
    finals = _finals(session, {row.team_id for row in rows})
    return [
        SubmissionLine(
            row.public_id,
            names.get(row.team_id) or session.get_one(Team, row.team_id).name,
            row.team_id,
            row.track,
            row.filename if own else "",
            row.note if own else "",
            row.received_at,
            row.state,
            len(row.problems),
            row.selected_at is not None,
            row.id in finals,
            scores.get((row.id, "public")) if row.state == "listed" else None,
            scores.get((row.id, "private")) if row.state == "listed" and _private(phase) else None,
            row.model or "",
            row.tokens,
            row.tool_calls,
            row.code_url or "",
            row.disqualified_reason or "",
        )
        for row in rows
    ]


def _private(phase: Phase) -> bool:
    return phase == "released"


def _scores(session: Session, ids: Sequence[int]) -> dict[tuple[int, str], ShownScore]:
    truth = current_truth(session)
    query = select(Score).where(Score.submission_id.in_(ids), Score.truth_version_id == truth.id)
    return {(s.submission_id, s.part): _shown(s, truth.number) for s in session.scalars(query)}


def _shown(s: Score, truth: int) -> ShownScore:
    score, low, high, de, direction = (rounded(value) for value in (s.score, s.low, s.high, s.de, s.dir))
    return ShownScore(s.part, truth, score, low, high, de, direction, s.n)


def _finals(session: Session, team_ids: set[int]) -> set[int]:
    """The final submissions of these teams, track by track."""
    truth, finals = current_truth(session), set()
    query = (
        select(Submission, Score.score)
        .join(Score, Score.submission_id == Submission.id)
        .where(Submission.team_id.in_(team_ids), Submission.state == "listed")
        .where(Score.truth_version_id == truth.id, Score.part == "public")
    )
    by_track: dict[str, list[Candidate]] = {}
    public: dict[int, float] = {}
    for row, score in session.execute(query):
        by_track.setdefault(row.track, []).append(Candidate(row.id, row.team_id, row.selected_at))
        public[row.id] = float("-inf") if score is None else score
    for rows in by_track.values():
        finals |= final_ids(rows, public, challenge_row(session).max_finals)
    return finals
