"""When: opening, deadline, release, embargo; and what the challenge says of itself.

Before the deadline entrants hand in and choose, and the public board is shown; after it nothing is taken; the
private board is shown from the release on, and never before the deadline or the end of an embargo.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.events import record, stamp
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.schema import Announcement, ChallengeRow
from perturbarena.leaderboard.store import Store, bump, challenge_row
from perturbarena.leaderboard.teams import clean_text

Phase = Literal["upcoming", "open", "closed", "released"]
MAX_TEXT: Final = 10_000


@dataclass(frozen=True, slots=True)
class ChallengeInfo:
    """The challenge as everybody may know it. Times are UTC; ``timezone`` is the zone to show them in.

    ``tracks`` are the tracks' names with their titles; ``version`` grows with every change of the board.
    """

    name: str
    title: str
    phase: Phase
    opens_at: datetime | None
    deadline: datetime
    timezone: str
    release_at: datetime | None
    embargo_until: datetime | None
    embargo_reason: str
    daily_limit: int
    max_finals: int
    max_bytes: int
    tracks: dict[str, str]
    rules_sha256: str
    version: int

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        times = {
            key: None if at is None else stamp(at)
            for key, at in asdict(self).items()
            if key in ("opens_at", "deadline", "release_at", "embargo_until")
        }
        return asdict(self) | times


@dataclass(frozen=True, slots=True)
class Notice:
    """An announcement."""

    at: datetime
    text: str


def challenge_info(store: Store) -> ChallengeInfo:
    """The challenge and the phase it is in."""
    with store.reading() as session:
        row = challenge_row(session)
    return ChallengeInfo(
        row.name, row.title, phase_of(row, store.now()), row.opens_at, row.deadline, row.timezone, row.release_at,
        row.embargo_until, row.embargo_reason or "", row.daily_limit, row.max_finals, row.max_bytes,
        {name: track.title for name, track in store.rules.tracks.items()}, row.rules_sha256, row.version,
    )  # fmt: skip


def phase_of(row: ChallengeRow, now: datetime) -> Phase:
    """Which phase holds at a time."""
    if row.opens_at is not None and now < row.opens_at:
        return "upcoming"
    if now < row.deadline:
        return "open"
    embargoed = row.embargo_until is not None and now < row.embargo_until
    return "released" if row.release_at is not None and now >= row.release_at and not embargoed else "closed"


def set_deadline(store: Store, deadline: datetime, *, timezone: str | None = None, by: Identity = CONSOLE) -> None:
    """Move the deadline.

    Raises
    ------
    BoardError
        Once the private board has been shown (conflict): what was seen cannot be unseen.
    """
    with store.writing() as session:
        row = challenge_row(session)
        if phase_of(row, store.now()) == "released":
            raise BoardError("the private board is out; the deadline cannot move any more", reason="conflict")
        before, row.deadline = row.deadline, deadline
        if timezone is not None:
            row.timezone = zone(timezone).key
        bump(session)
        record(
            session, at=store.now(), actor=by.actor, kind="challenge.deadline", subject="challenge",
            before=stamp(before), after=stamp(deadline.astimezone(UTC)), timezone=row.timezone,
        )  # fmt: skip


def set_release(store: Store, at: datetime | None, *, by: Identity = CONSOLE) -> None:
    """Say from when the private board is shown; None takes that back while it has not been shown.

    Raises
    ------
    BoardError
        If the time lies before the deadline, or the private board is out already (conflict).
    """
    with store.writing() as session:
        row = challenge_row(session)
        if phase_of(row, store.now()) == "released":
            raise BoardError("the private board is out already", reason="conflict")
        if at is not None and at < row.deadline:
            raise BoardError(
                f"release must not be before the deadline, {stamp(row.deadline)}; got {stamp(at)}",
                reason="conflict",
            )
        row.release_at = at
        bump(session)
        told = None if at is None else stamp(at.astimezone(UTC))
        record(
            session, at=store.now(), actor=by.actor, kind="challenge.release", subject="challenge", at_time=told
        )


def set_embargo(store: Store, until: datetime | None, *, reason: str, by: Identity = CONSOLE) -> None:
    """Keep everything private back until a time, with the reason; None lifts the embargo."""
    with store.writing() as session:
        row = challenge_row(session)
        if until is not None and phase_of(row, store.now()) == "released":
            raise BoardError("the private board is out already", reason="conflict")
        row.embargo_until, row.embargo_reason = until, clean_text(reason, MAX_TEXT) or None
        bump(session)
        told = None if until is None else stamp(until.astimezone(UTC))
        record(
            session, at=store.now(), actor=by.actor, kind="challenge.embargo", subject="challenge", until=told,
            reason=row.embargo_reason or "",
        )  # fmt: skip


def announce(store: Store, text: str, *, by: Identity = CONSOLE) -> Notice:
    """Tell entrants something; BoardError where the text is blank or too long."""
    if not text.strip() or len(text) > MAX_TEXT:
        raise BoardError(f"an announcement has 1 to {MAX_TEXT:,} characters; got {len(text):,}")
    text = clean_text(text, MAX_TEXT)
    with store.writing() as session:
        session.add(Announcement(at=store.now(), text=text))
        bump(session)
        record(session, at=store.now(), actor=by.actor, kind="challenge.announced", subject="challenge", text=text)
    return Notice(store.now(), text)


def notices(store: Store) -> list[Notice]:
    """Announcements, newest first."""
    with store.reading() as session:
        rows = session.scalars(select(Announcement).order_by(Announcement.id.desc()))
        return [Notice(row.at, row.text) for row in rows]


def zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name; BoardError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise BoardError(
            f"no time zone is called {name!r}; needed: a name such as Europe/Zurich or UTC"
        ) from error


def parse_time(text: str, *, timezone: str | None = None) -> datetime:
    """A time such as ``2026-12-01 18:00`` in a zone, or ``2026-12-01T18:00+01:00``.

    Raises
    ------
    BoardError
        If it cannot be read, names no zone, or does not exist in it (a clock put forward); the earlier of two
        readings is taken where the clock is put back.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise BoardError(f"a time is needed, such as '2026-12-01 18:00'; got {text!r}") from error
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if timezone is None:
        raise BoardError(f"the time {text!r} needs a zone: +01:00 at its end, or --timezone Europe/Zurich")
    local = at.replace(tzinfo=zone(timezone))
    if local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) != at:
        raise BoardError(f"the time {text!r} does not exist in {timezone}: clocks are put forward then")
    return local.astimezone(UTC)


def need_open(session: Session, now: datetime) -> ChallengeRow:
    """The challenge, within its time; BoardError (closed) before it opens and after its deadline."""
    row = challenge_row(session)
    phase = phase_of(row, now)
    if phase == "upcoming":
        raise BoardError(f"the challenge opens at {stamp(row.opens_at or now)}", reason="closed")
    if phase != "open":
        raise BoardError(f"the deadline was {stamp(row.deadline)}; nothing is taken any more", reason="closed")
    return row
