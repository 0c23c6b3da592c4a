"""Teams and their members; disqualification and embargo of a team, with the reason."""

from __future__ import annotations

import unicodedata
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.events import record, stamp
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.schema import Member, Submission, Team
from perturbarena.leaderboard.store import Store, bump

MAX_NAME: Final = 60
ENTRANTS: Final = "entrants"
BASELINE: Final = "baseline"
BASELINES_NAME: Final = "Baselines"
"""The organiser's own team, whose submissions stand on the board as rows without a rank."""


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """A team as it may be shown; ``reason`` is why it is disqualified or under embargo."""

    id: int
    name: str
    kind: str
    created_at: datetime
    members: tuple[str, ...]
    n_submissions: int
    disqualified: bool
    embargo_until: datetime | None
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        until = None if self.embargo_until is None else stamp(self.embargo_until)
        return asdict(self) | {
            "created_at": stamp(self.created_at), "members": list(self.members), "embargo_until": until,
        }  # fmt: skip


def create_team(
    store: Store, name: str, *, members: tuple[str, ...] = (), by: Identity = CONSOLE, kind: str = ENTRANTS
) -> TeamRecord:
    """A new team.

    Raises
    ------
    BoardError
        If the name is blank, too long, not printable (invalid), or taken (conflict).
    """
    name = clean_name(name, what="a team's name")
    people = [clean_name(member, what="a member's name") for member in members]
    with store.writing() as session:
        if session.scalar(select(Team.id).where(Team.name_key == name_key(name))) is not None:
            raise BoardError(f"there is a team called {name!r} already", reason="conflict")
        team = Team(name=name, name_key=name_key(name), kind=kind, created_at=store.now())
        session.add(team)
        session.flush()
        for person in dict.fromkeys(people):
            session.add(Member(team_id=team.id, name=person, created_at=store.now()))
        record(
            session, at=store.now(), actor=by.actor, kind="team.created", subject=f"team:{team.id}", name=name,
            members=people,
        )  # fmt: skip
        session.flush()
        return _record_of(session, team)


def add_member(store: Store, team: str, member: str, *, by: Identity = CONSOLE) -> TeamRecord:
    """One more person in a team; BoardError where the team is missing or has that member."""
    member = clean_name(member, what="a member's name")
    with store.writing() as session:
        row = team_row(session, team)
        if session.scalar(select(Member.id).where(Member.team_id == row.id, Member.name == member)) is not None:
            raise BoardError(f"{row.name} has a member {member!r} already", reason="conflict")
        session.add(Member(team_id=row.id, name=member, created_at=store.now()))
        record(
            session, at=store.now(), actor=by.actor, kind="team.member", subject=f"team:{row.id}", member=member
        )
        session.flush()
        return _record_of(session, row)


def disqualify_team(store: Store, team: str, *, reason: str, by: Identity = CONSOLE) -> TeamRecord:
    """Take a team off the ranking; its rows stay visible, marked, with the reason. An empty reason is refused."""
    with store.writing() as session:
        row = team_row(session, team)
        row.disqualified_at, row.disqualified_reason = store.now(), _reason(reason)
        bump(session)
        record(
            session, at=store.now(), actor=by.actor, kind="team.disqualified", subject=f"team:{row.id}",
            reason=row.disqualified_reason,
        )  # fmt: skip
        return _record_of(session, row)


def reinstate_team(store: Store, team: str, *, reason: str, by: Identity = CONSOLE) -> TeamRecord:
    """Undo a disqualification or an embargo."""
    with store.writing() as session:
        row = team_row(session, team)
        row.disqualified_at = row.disqualified_reason = row.embargo_until = row.embargo_reason = None
        bump(session)
        record(
            session, at=store.now(), actor=by.actor, kind="team.reinstated", subject=f"team:{row.id}",
            reason=_reason(reason),
        )  # fmt: skip
        return _record_of(session, row)


def embargo_team(store: Store, team: str, *, until: datetime, reason: str, by: Identity = CONSOLE) -> TeamRecord:
    """Keep a team's rows off the board until a time, with the reason."""
    with store.writing() as session:
        row = team_row(session, team)
        row.embargo_until, row.embargo_reason = until, _reason(reason)
        bump(session)
        record(
            session, at=store.now(), actor=by.actor, kind="team.embargo", subject=f"team:{row.id}",
            until=stamp(until), reason=row.embargo_reason,
        )  # fmt: skip
        return _record_of(session, row)


def list_teams(store: Store) -> list[TeamRecord]:
    """All teams by name."""
    with store.reading() as session:
        return [_record_of(session, row) for row in session.scalars(select(Team).order_by(Team.name_key))]


def get_team(store: Store, team_id: int) -> TeamRecord:
    """A team by its number; BoardError (missing) where there is none."""
    with store.reading() as session:
        row = session.get(Team, team_id)
        if row is None:
            raise BoardError(f"there is no team {team_id}", reason="missing")
        return _record_of(session, row)


def team_row(session: Session, name: str) -> Team:
    """A team by its name; BoardError (missing) where there is none."""
    row = session.scalar(select(Team).where(Team.name_key == name_key(name)))
    if row is None:
        raise BoardError(f"there is no team called {name!r}", reason="missing")
    return row


def name_key(name: str) -> str:
    """Equal for names that people would take for the same: letter case, width and blanks do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def clean_name(name: str, *, what: str) -> str:
    """A name on one line, without control characters; BoardError (invalid) otherwise."""
    tidy = " ".join(unicodedata.normalize("NFC", name).split())
    if not tidy or len(tidy) > MAX_NAME or not tidy.isprintable() or not name_key(tidy):
        raise BoardError(f"{what} has 1 to {MAX_NAME} printable characters; got {name[:80]!r}")
    return tidy


def clean_text(text: str, limit: int = 2000) -> str:
    """Free text as either database can hold it: no NUL, no half of a character, not longer than ``limit``."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}").strip()[:limit]


def _reason(reason: str) -> str:
    reason = clean_text(reason)
    if not reason:
        raise BoardError("a reason is needed; it is shown to entrants")
    return reason


def _record_of(session: Session, row: Team) -> TeamRecord:
    members = session.scalars(
        select(Member.name).where(Member.team_id == row.id, Member.left_at.is_(None)).order_by(Member.id)
    )
    n = session.scalar(select(func.count()).select_from(Submission).where(Submission.team_id == row.id)) or 0
    return TeamRecord(
        row.id, row.name, row.kind, row.created_at, tuple(members), n, row.disqualified_at is not None,
        row.embargo_until, row.disqualified_reason or row.embargo_reason or "",
    )  # fmt: skip
