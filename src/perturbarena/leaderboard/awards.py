"""Awards: places of a track, the most novel entry, and whatever else organisers give."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.board import board
from perturbarena.leaderboard.events import record, stamp
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.phases import challenge_info
from perturbarena.leaderboard.schema import Award, Submission, Team
from perturbarena.leaderboard.store import Store, bump
from perturbarena.leaderboard.submissions import submission_row
from perturbarena.leaderboard.teams import clean_name, clean_text

PLACE = "Place"
"""Name of the awards for places of a track."""


@dataclass(frozen=True, slots=True)
class AwardRecord:
    """An award: its name, the track (empty: over all), the place, who got it and for what."""

    name: str
    track: str
    place: int
    team: str
    team_id: int
    submission: str
    code_url: str
    citation: str
    at: datetime

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"at": stamp(self.at)}


def give_award(
    store: Store,
    public_id: str,
    *,
    name: str,
    place: int = 1,
    over_all: bool = False,
    citation: str = "",
    by: Identity = CONSOLE,
) -> AwardRecord:
    """Give an award to a submission, in place of whoever had it; ``over_all`` gives it across tracks.

    Raises
    ------
    BoardError
        If the submission is missing, not listed or disqualified, or the bearer may not organise.
    """
    by.need("organise")
    name = clean_name(name, what="an award's name")
    if place < 1:
        raise BoardError(f"a place is 1 or more; got {place}")
    with store.writing() as session:
        row = submission_row(session, public_id)
        team = session.get_one(Team, row.team_id)
        if row.state != "listed" or row.disqualified_at is not None or team.disqualified_at is not None:
            raise BoardError(f"{public_id} is not on the board, or is disqualified", reason="conflict")
        award = _give(session, store, row, name=name, track="" if over_all else row.track, place=place,
                      citation=citation, by=by)  # fmt: skip
        bump(session)
        return _record_of(award, row, team)


def award_places(store: Store, track: str, *, places: int = 3, by: Identity = CONSOLE) -> list[AwardRecord]:
    """Give the first places of a track by the private board; teams of equal score share a place's citation.

    Raises
    ------
    BoardError
        Before the private board is out (closed).
    """
    by.need("organise")
    if challenge_info(store).phase != "released":
        raise BoardError("places are awarded once the private board is out", reason="closed")
    shown = board(store, track)
    ranked = [row for row in shown.rows if row.kind == "entry" and row.rank is not None]
    given = []
    for place, row in enumerate(ranked[:places], start=1):
        tied = sum(other.group == row.group for other in ranked)
        note = f"; statistically tied with {tied - 1} other teams" if tied > 1 else ""
        citation = f"rank {row.rank}, score {row.score:.3f}{note}"
        given.append(give_award(store, row.submission or "", name=PLACE, place=place, citation=citation, by=by))
    return given


def list_awards(store: Store) -> list[AwardRecord]:
    """All awards, by track, name and place."""
    query = (
        select(Award, Submission, Team)
        .join(Submission, Submission.id == Award.submission_id)
        .join(Team, Team.id == Submission.team_id)
        .order_by(Award.track, Award.name, Award.place)
    )
    with store.reading() as session:
        return [_record_of(*row) for row in session.execute(query)]


def _give(
    session: Session, store: Store, row: Submission, *, name: str, track: str, place: int, citation: str,
    by: Identity,
) -> Award:  # fmt: skip
    session.execute(delete(Award).where(Award.name == name, Award.track == track, Award.place == place))
    award = Award(
        name=name, track=track, place=place, submission_id=row.id, citation=clean_text(citation), at=store.now()
    )
    session.add(award)
    record(
        session, at=store.now(), actor=by.actor, kind="award.given", subject=f"submission:{row.public_id}",
        name=name, track=track, place=place,
    )  # fmt: skip
    return award


def _record_of(award: Award, row: Submission, team: Team) -> AwardRecord:
    return AwardRecord(
        award.name, award.track, award.place, team.name, team.id, row.public_id, row.code_url or "",
        award.citation, award.at,
    )  # fmt: skip
