"""Handing in: a file is stored whole, hashed and given a receipt before anybody looks into it.

The order decides what survives a crash. The bytes are flushed to disk and renamed to their hash first; then the
row, the log's entry, the job and so the receipt come into being in one transaction. A crash before it leaves a
file that nobody refers to, which :func:`sweep` removes; a crash after it leaves a submission that is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.events import record, stamp
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.jobs import enqueue
from perturbarena.leaderboard.phases import need_open
from perturbarena.leaderboard.schema import Event, Submission, Team
from perturbarena.leaderboard.store import Store, bump, challenge_row
from perturbarena.leaderboard.teams import clean_text

REJECTED_PER_ACCEPTED: Final = 4
"""Uploads that the check refused do not use up the day's limit, but there may be at most this many times it."""
ORPHAN_HOURS: Final = 24
"""Files that no submission refers to are swept when they are older than this."""
MAX_FILENAME: Final = 120
MAX_NOTE: Final = 500


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an entrant keeps: the file's hash, when it came, and the log's entry that says so.

    ``repeated`` is True where the team had handed in the same bytes for the track before: this is that receipt.
    """

    submission: str
    team: str
    track: str
    sha256: str
    size: int
    received_at: datetime
    event: int
    event_hash: str
    repeated: bool = False

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"received_at": stamp(self.received_at)}


class Incoming:
    """An upload on its way to disk: ``write`` its chunks, then hand it to :func:`receive`.

    A context manager; leaving it without a receipt removes what was written.
    """

    def __init__(self, store: Store, *, max_bytes: int | None = None) -> None:
        if max_bytes is None:
            with store.reading() as session:
                max_bytes = challenge_row(session).max_bytes
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self.size = 0
        with _disk_errors():
            store.folder.incoming.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=store.folder.incoming, suffix=".part")
        self.path = Path(name)
        self._file = os.fdopen(handle, "wb")

    def write(self, chunk: bytes) -> None:
        """Append bytes.

        Raises
        ------
        BoardError
            If the upload grows too large (large), or the disk is full (storage).
        """
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise BoardError(f"an upload may have {self._max_bytes:,} bytes; this one has more", reason="large")
        self._hash.update(chunk)
        with _disk_errors():
            self._file.write(chunk)

    def seal(self) -> str:
        """Flush to disk; the SHA-256 in hexadecimal."""
        with _disk_errors():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return self._hash.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self.path.unlink(missing_ok=True)


def receive(
    store: Store, incoming: Incoming, *, by: Identity, track: str, filename: str = "submission.zip", note: str = ""
) -> Receipt:
    """Take an upload in; the receipt is given once everything is on disk.

    Raises
    ------
    BoardError
        forbidden: no team, no right to submit, disqualified; closed: not within the challenge's time; limit: the
        day's submissions are used up; invalid: an empty file; storage: the disk or the database fails.
    RulesError
        If there is no such track.
    """
    by.need("submit")
    team_id = by.need_team()
    return _take_in(
        store, incoming, team_id=team_id, by=by, track=track, filename=filename, note=note, limited=True
    )


def receive_baseline(store: Store, chunks: Iterable[bytes], *, team_id: int, name: str, track: str) -> Receipt:
    """Take in an organiser's row: outside the limits and the challenge's time."""
    with Incoming(store) as incoming:
        for chunk in chunks:
            incoming.write(chunk)
        return _take_in(
            store, incoming, team_id=team_id, by=CONSOLE, track=track, filename=name, note="", limited=False
        )


def _take_in(
    store: Store, incoming: Incoming, *, team_id: int, by: Identity, track: str, filename: str, note: str,
    limited: bool,
) -> Receipt:  # fmt: skip
    track = store.rules.track_name(track)
    if not incoming.size:
        raise BoardError("the file is empty")
    sha256 = incoming.seal()
    with store.writing() as session:
        now = store.now()
        team = session.get(Team, team_id)
        if team is None:
            raise BoardError(f"there is no team {team_id}", reason="missing")
        earlier = session.scalar(
            select(Submission).where(
                Submission.team_id == team_id, Submission.track == track, Submission.sha256 == sha256
            )
        )
        if earlier is not None:
            return _receipt(session, earlier, repeated=True)
        if limited:
            _need_room(session, team, now)
        with _disk_errors():
            _put(incoming.path, store.folder.file(sha256))
        row = Submission(
            public_id=uuid.uuid4().hex, team_id=team_id, token_id=by.token_id, track=track,
            filename=_one_line(filename, MAX_FILENAME) or "submission.zip", note=_one_line(note, MAX_NOTE),
            sha256=sha256, size=incoming.size, received_at=now, day=_day(now), state="received", problems=[],
        )  # fmt: skip
        session.add(row)
        session.flush()
        event = record(
            session, at=now, actor=by.actor, kind="submission.received", subject=f"submission:{row.public_id}",
            team=team.name, track=track, sha256=sha256, size=incoming.size,
        )  # fmt: skip
        row.event_seq = event.seq
        enqueue(session, "check_score", row.id, now=now)
        session.flush()
        return _receipt(session, row)


def _need_room(session: Session, team: Team, now: datetime) -> None:
    challenge = need_open(session, now)
    if team.disqualified_at is not None:
        raise BoardError(f"{team.name} is disqualified: {team.disqualified_reason}", reason="forbidden")
    today = select(func.count()).where(Submission.team_id == team.id, Submission.day == _day(now))
    counted = session.scalar(today.where(Submission.state != "rejected")) or 0
    every = session.scalar(today) or 0
    limit = challenge.daily_limit
    if counted >= limit or every >= limit * (1 + REJECTED_PER_ACCEPTED):
        what = f"{limit} a day" if counted >= limit else f"{every} a day, refused ones counted,"
        raise BoardError(f"a team may hand in {what}; the next day begins at 00:00 UTC", reason="limit")


def remaining_today(store: Store, team_id: int) -> int:
    """How many submissions a team may still hand in today (UTC)."""
    with store.reading() as session:
        today = select(func.count()).where(
            Submission.team_id == team_id, Submission.day == _day(store.now()), Submission.state != "rejected"
        )
        return max(0, challenge_row(session).daily_limit - (session.scalar(today) or 0))


def select_finals(store: Store, chosen: Iterable[str], *, track: str, by: Identity) -> list[str]:
    """Choose a team's final submissions of a track, in place of those chosen before; the ids chosen.

    Raises
    ------
    BoardError
        forbidden: no right to submit; closed: after the deadline; limit: more than allowed; missing: another
        team's or another track's; invalid: refused by the check.
    """
    by.need("submit")
    team_id, track = by.need_team(), store.rules.track_name(track)
    ids = list(dict.fromkeys(chosen))
    with store.writing() as session:
        challenge = need_open(session, store.now())
        if len(ids) > challenge.max_finals:
            raise BoardError(f"at most {challenge.max_finals} may be chosen; got {len(ids)}", reason="limit")
        own = {
            row.public_id: row
            for row in session.scalars(
                select(Submission).where(Submission.team_id == team_id, Submission.track == track)
            )
        }
        for public_id in ids:
            if public_id not in own:
                raise BoardError(f"the team has no submission {public_id[:40]} in track {track}", reason="missing")
            if own[public_id].state == "rejected":
                raise BoardError(f"{public_id} was refused by the check and cannot be chosen")
        for public_id, row in own.items():
            row.selected_at = (row.selected_at or store.now()) if public_id in ids else None
        bump(session)
        record(
            session, at=store.now(), actor=by.actor, kind="submission.selected", subject=f"team:{team_id}",
            track=track, chosen=ids,
        )  # fmt: skip
    return ids


def set_code_url(store: Store, public_id: str, url: str, *, by: Identity) -> None:
    """Say where a submission's code is, also after the deadline, as the rules ask of winners.

    Raises
    ------
    BoardError
        missing: not the bearer's team's; invalid: not an http(s) address.
    """
    if not by.may("organise"):
        by.need("submit")
    if not re.fullmatch(r"https?://[!-~]{3,1990}", url):
        raise BoardError(f"a code link is an http(s) address; got {url[:80]!r}")
    with store.writing() as session:
        row = submission_row(session, public_id)
        if not by.may("organise") and row.team_id != by.need_team():
            raise BoardError(f"there is no submission {public_id[:40]!r}", reason="missing")
        row.code_url = url
        bump(session)
        record(
            session, at=store.now(), actor=by.actor, kind="submission.code", subject=f"submission:{row.public_id}",
            url=url,
        )  # fmt: skip


def disqualify_submission(store: Store, public_id: str, *, reason: str, by: Identity = CONSOLE) -> None:
    """Take one submission off the ranking, with the reason, which is shown; an empty reason reinstates it."""
    with store.writing() as session:
        row = submission_row(session, public_id)
        reason = clean_text(reason)
        row.disqualified_at = store.now() if reason else None
        row.disqualified_reason = reason or None
        bump(session)
        kind = "submission.disqualified" if reason else "submission.reinstated"
        record(
            session, at=store.now(), actor=by.actor, kind=kind, subject=f"submission:{row.public_id}",
            reason=reason,
        )  # fmt: skip


def submission_row(session: Session, public_id: str) -> Submission:
    """A submission by the id that people see; BoardError (missing) where there is none."""
    row = None
    if re.fullmatch(r"[0-9a-f]{32}", public_id):  # PostgreSQL refuses some other texts with an error of its own
        row = session.scalar(select(Submission).where(Submission.public_id == public_id))
    if row is None:
        raise BoardError(f"there is no submission {public_id[:40]!r}", reason="missing")
    return row


def receipt_of(store: Store, public_id: str) -> Receipt:
    """The receipt of a submission, again."""
    with store.reading() as session:
        return _receipt(session, submission_row(session, public_id))


def verify_receipt(store: Store, receipt: dict[str, Any]) -> list[str]:
    """What of a receipt (as JSON) does not hold: in the tables, in the log, in the file; empty if all does."""
    with store.reading() as session:
        try:
            row = submission_row(session, str(receipt.get("submission")))
        except BoardError as error:
            return [str(error)]
        told = _receipt(session, row).as_json()
    wrong = [
        f"{key}: the receipt says {receipt.get(key)!r}, the board {value!r}"
        for key, value in told.items()
        if key != "repeated" and receipt.get(key) != value
    ]
    path = store.folder.file(row.sha256)
    if not path.is_file():
        return [*wrong, f"the file {row.sha256} is not there"]
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return wrong if found == row.sha256 else [*wrong, f"the file's SHA-256 is {found}"]


def sweep(store: Store) -> int:
    """Remove uploads that were broken off and files that no submission refers to; how many."""
    oldest = (store.now() - timedelta(hours=ORPHAN_HOURS)).timestamp()
    removed = 0
    with store.writing() as session:  # nobody puts a file meanwhile
        known = set(session.scalars(select(Submission.sha256)))
        for path in store.folder.files.glob("*/*"):
            if path.stat().st_mtime < oldest and path.stem not in known:
                path.unlink(missing_ok=True)
                removed += 1
    return removed


def _put(part: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    part.chmod(0o600)
    part.replace(target)
    for folder in (target.parent, target.parent.parent):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _receipt(session: Session, row: Submission, *, repeated: bool = False) -> Receipt:
    team = session.get_one(Team, row.team_id)
    event = session.get_one(Event, row.event_seq)
    return Receipt(
        row.public_id, team.name, row.track, row.sha256, row.size, row.received_at, event.seq, event.hash, repeated
    )


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()


def _one_line(text: str, limit: int) -> str:
    return "".join(c if c.isprintable() else " " for c in text).strip()[:limit]


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BoardError(f"the file cannot be stored: {error.strerror or error}", reason="storage") from error
