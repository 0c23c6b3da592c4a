"""The review queue: people, and a language model as an adviser, look at the best of each track.

A verdict decides nothing by itself: organisers read the verdicts, and disqualify with a reason or do not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.board import board, organisers_board
from perturbarena.leaderboard.events import record, stamp
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.schema import VERDICTS, AuditResult, Review
from perturbarena.leaderboard.store import Store
from perturbarena.leaderboard.submissions import submission_row
from perturbarena.leaderboard.teams import clean_name, clean_text

TOP: Final = 5
"""How many of a track are reviewed."""
KINDS: Final = ("expert", "model")
MAX_REASON: Final = 10_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reviewer says of a submission; ``novelty`` is 1 to 5 or None."""

    reviewer: str
    kind: str
    verdict: str
    reason: str
    novelty: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """One submission to be reviewed: its place on the board, what the audit counted, and the verdicts so far."""

    rank: int | None
    team: str
    submission: str
    track: str
    score: float | None
    code_url: str
    severe: int
    warning: int
    note: int
    verdicts: tuple[Verdict, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        verdicts = [asdict(v) | {"at": stamp(v.at)} for v in self.verdicts]
        return asdict(self) | {"verdicts": verdicts}


def review_queue(store: Store, track: str, *, top: int = TOP, private: bool = False) -> list[ReviewItem]:
    """The best of a track by the board that is shown now, or for organisers by the private one.

    The private order is never handed to a page: ``private`` is for the command line.
    """
    shown = organisers_board(store, track, view="private") if private else board(store, track)
    items = []
    with store.reading() as session:
        ranked = [row for row in shown.rows if row.kind == "entry" and row.rank is not None and row.rank <= top]
        for row in ranked:
            submission = submission_row(session, row.submission or "")
            audit = session.get(AuditResult, submission.id)
            counts = (0, 0, 0) if audit is None else (audit.severe, audit.warning, audit.note)
            items.append(
                ReviewItem(
                    row.rank,
                    row.team,
                    submission.public_id,
                    submission.track,
                    row.score,
                    row.code_url,
                    *counts,
                    verdicts_of(session, submission.id),
                )
            )
    return items


def verdicts_of(session: Session, submission_id: int) -> tuple[Verdict, ...]:
    """The latest verdict of each reviewer, in the order in which they were given."""
    latest: dict[tuple[str, str], Verdict] = {}
    query = select(Review).where(Review.submission_id == submission_id).order_by(Review.id)
    for r in session.scalars(query):
        latest.pop((r.reviewer, r.kind), None)
        latest[r.reviewer, r.kind] = Verdict(r.reviewer, r.kind, r.verdict, r.reason, r.novelty, r.at)
    return tuple(latest.values())


def add_review(
    store: Store,
    public_id: str,
    *,
    verdict: str,
    reason: str,
    novelty: int | None = None,
    kind: str = "expert",
    reviewer: str | None = None,
    by: Identity = CONSOLE,
) -> Verdict:
    """Record a verdict; earlier ones of the same reviewer stay in the log and are replaced in the queue.

    Raises
    ------
    BoardError
        forbidden: the bearer may not review; missing: no such submission; invalid: an unknown verdict or kind, a
        blank reason, a novelty outside 1 to 5.
    """
    by.need("review")
    if verdict not in VERDICTS or kind not in KINDS:
        raise BoardError(
            f"a verdict is {', '.join(VERDICTS)} by {' or '.join(KINDS)}; got {verdict[:40]!r} by {kind[:40]!r}"
        )
    if not reason.strip() or len(reason) > MAX_REASON:
        raise BoardError(f"a reason of 1 to {MAX_REASON:,} characters is needed; got {len(reason.strip()):,}")
    if novelty is not None and not 1 <= novelty <= 5:
        raise BoardError(f"novelty is 1 to 5; got {novelty}")
    reason = clean_text(reason, MAX_REASON)
    who = clean_name(reviewer or by.label, what="a reviewer's name")
    with store.writing() as session:
        row = submission_row(session, public_id)
        session.add(
            Review(
                submission_id=row.id,
                reviewer=who,
                kind=kind,
                verdict=verdict,
                reason=reason.strip(),
                novelty=novelty,
                at=store.now(),
            )
        )
        record(
            session,
            at=store.now(),
            actor=by.actor,
            kind="submission.reviewed",
            subject=f"submission:{row.public_id}",
            reviewer=who,
            of_kind=kind,
            verdict=verdict,
        )
    return Verdict(who, kind, verdict, reason.strip(), novelty, store.now())
