"""The append-only log: every change of state, each entry bound to the one before by its hash.

Triggers keep the database from changing or deleting entries; whoever goes round them breaks the chain, which
:func:`verify_chain` shows. A receipt names an entry and its hash, so that entrants can hold the log to its word.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from perturbarena.leaderboard.schema import Event
from perturbarena.leaderboard.store import Store

START: Final = "0" * 64
"""What stands before the first entry."""
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry: who did what to which subject."""

    seq: int
    at: datetime
    actor: str
    kind: str
    subject: str
    detail: dict[str, Any]
    previous: str
    hash: str

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"at": stamp(self.at)}


@dataclass(frozen=True, slots=True)
class ChainReport:
    """Whether the log is whole: how many entries, the last hash, and the first entry that is wrong (0: none)."""

    n: int
    last: str
    broken_at: int
    why: str

    @property
    def ok(self) -> bool:
        return not self.broken_at


def record(session: Session, *, at: datetime, actor: str, kind: str, subject: str, **detail: Any) -> Event:
    """Append an entry, within a session that writes."""
    last = session.execute(select(Event.seq, Event.hash).order_by(Event.seq.desc()).limit(1)).first()
    seq, previous = (1, START) if last is None else (last.seq + 1, last.hash)
    entry = Event(
        seq=seq, at=at, actor=actor[:200], kind=kind, subject=subject[:200], detail=detail, previous=previous,
        hash=_hash(seq, at, actor[:200], kind, subject[:200], detail, previous),
    )  # fmt: skip
    session.add(entry)
    session.flush()
    return entry


def read_log(store: Store, *, after: int = 0, limit: int | None = None) -> list[LogEntry]:
    """Entries in order, from the one after ``after``."""
    with store.reading() as session:
        return list(_entries(session, after=after, limit=limit))


def verify_chain(store: Store) -> ChainReport:
    """Work out every hash anew and compare."""
    n, last = 0, START
    with store.reading() as session:
        for entry in _entries(session):
            if entry.seq != n + 1:
                return ChainReport(n, last, n + 1, f"entry {n + 1} is missing")
            if entry.previous != last:
                return ChainReport(n, last, entry.seq, f"entry {entry.seq} does not follow the one before")
            told = _hash(entry.seq, entry.at, entry.actor, entry.kind, entry.subject, entry.detail, last)
            if told != entry.hash:
                return ChainReport(n, last, entry.seq, f"entry {entry.seq} was changed")
            n, last = entry.seq, entry.hash
    return ChainReport(n, last, 0, "")


def stamp(at: datetime) -> str:
    """A time as text, to the microsecond, in the form that is hashed and shown to machines."""
    return at.isoformat(timespec="microseconds")


def _entries(session: Session, *, after: int = 0, limit: int | None = None) -> Iterator[LogEntry]:
    left = limit
    while left is None or left > 0:
        size = _AT_ONCE if left is None else min(left, _AT_ONCE)
        page = session.scalars(select(Event).where(Event.seq > after).order_by(Event.seq).limit(size)).all()
        for e in page:
            yield LogEntry(e.seq, e.at, e.actor, e.kind, e.subject, e.detail, e.previous, e.hash)
        if len(page) < size:
            return
        after, left = page[-1].seq, None if left is None else left - len(page)
        session.expunge_all()


def _hash(
    seq: int, at: datetime, actor: str, kind: str, subject: str, detail: dict[str, Any], previous: str
) -> str:
    content = [seq, stamp(at), actor, kind, subject, detail, previous]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
