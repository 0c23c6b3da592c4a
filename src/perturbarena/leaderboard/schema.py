"""The board's tables: who takes part, what was handed in, what became of it, and the log of all that happened.

Times are UTC. What decides about a submission is written in the transaction that finishes the job, under keys that
cannot stand twice, so that no job counts twice. Answers and truth lie in files; the tables hold their hashes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    DateTime,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

STATES: Final = ("received", "rejected", "scored", "listed", "failed")
"""What a submission can be: stored; refused by the check; checked and scored, waiting for its audit; audited and
on the board; given up after its job broke several times (an organiser may retry it)."""
JOB_KINDS: Final = ("check_score", "audit", "rescore")
JOB_STATES: Final = ("waiting", "running", "done", "failed")
PARTS: Final = ("public", "private")
"""Blocks of the truth: the public one is shown while the challenge runs, the private one after release."""
SCOPES: Final = ("read", "submit", "review", "organise")
"""What a token lets its bearer do; ``organise`` holds all others."""
VERDICTS: Final = ("sound", "doubtful", "unsound")
_NAMES: Final = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcTime(TypeDecorator[datetime]):
    """An aware time, stored as UTC without a zone so that both databases order and compare it alike."""

    impl = DateTime(timezone=False)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        """To UTC; a time without a zone is a mistake in the program."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time needs a zone; got {value.isoformat()}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        """From UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class Base(DeclarativeBase):
    """All tables."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {  # noqa: RUF012 — SQLAlchemy's own form
        datetime: UtcTime(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
        str: String(200),
        bytes: LargeBinary(),
        float: Float(),
    }


class ChallengeRow(Base):
    """The one challenge of this board; ``id`` is 1."""

    __tablename__ = "challenge"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    title: Mapped[str]
    rules: Mapped[str] = mapped_column(Text)
    """The rules file's text."""
    rules_sha256: Mapped[str] = mapped_column(String(64))
    questions_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    opens_at: Mapped[datetime | None]
    deadline: Mapped[datetime]
    timezone: Mapped[str]
    """The zone, such as Europe/Zurich, in which people are told the deadline."""
    release_at: Mapped[datetime | None]
    """From when the private board is shown; none until an organiser says."""
    embargo_until: Mapped[datetime | None]
    """Until then nothing private is shown, whatever ``release_at`` says."""
    embargo_reason: Mapped[str | None] = mapped_column(Text)
    daily_limit: Mapped[int]
    max_finals: Mapped[int]
    max_bytes: Mapped[int]
    version: Mapped[int] = mapped_column(default=0)
    """Grows with every change of what the board shows: pages are kept by it."""


class TruthVersion(Base):
    """One state of the sealed truth. Corrections make new ones; scores of old ones stay."""

    __tablename__ = "truth_version"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    file: Mapped[str]
    """Name below the challenge's truth folder."""
    created_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)
    seed: Mapped[int]
    """Of the resamples, which all submissions share."""
    n_resamples: Mapped[int]
    current: Mapped[bool]
    """The one that the board shows."""
    ceiling: Mapped[dict[str, Any] | None]
    """What no predictor can be expected to exceed, by part: ``{"private": {"score": …, "low": …, "high": …}}``."""


class Team(Base):
    """Entrants who share submissions; ``kind`` is ``entrants``, or ``baseline`` for the organiser's own rows."""

    __tablename__ = "team"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_key: Mapped[str] = mapped_column(unique=True)
    """Equal for names that people would take for the same."""
    kind: Mapped[str] = mapped_column(String(20), default="entrants")
    created_at: Mapped[datetime]
    disqualified_at: Mapped[datetime | None]
    disqualified_reason: Mapped[str | None] = mapped_column(Text)
    embargo_until: Mapped[datetime | None]
    """Until then the team's rows are kept off the board."""
    embargo_reason: Mapped[str | None] = mapped_column(Text)


class Member(Base):
    """A person of a team."""

    __tablename__ = "member"
    __table_args__ = (UniqueConstraint("team_id", "name"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    name: Mapped[str]
    created_at: Mapped[datetime]
    left_at: Mapped[datetime | None]


class Token(Base):
    """A key to the board. Only its hash is kept; ``team_id`` is none for organisers and reviewers."""

    __tablename__ = "token"
    id: Mapped[int] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16))
    """Its first characters, by which people tell tokens apart."""
    label: Mapped[str]
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    member_id: Mapped[int | None] = mapped_column(ForeignKey("member.id"))
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class WebSession(Base):
    """A signed-in browser; only the hash of its cookie is kept."""

    __tablename__ = "web_session"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    token_id: Mapped[int] = mapped_column(ForeignKey("token.id"))
    csrf: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Submission(Base):
    """A file that a team handed in, and what is known of it. ``public_id`` is what people see."""

    __tablename__ = "submission"
    __table_args__ = (
        UniqueConstraint("team_id", "track", "sha256"),
        Index("ix_submission_team_day", "team_id", "day"),
        Index("ix_submission_state_track", "state", "track"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(String(32), unique=True)
    team_id: Mapped[int] = mapped_column(ForeignKey("team.id"))
    token_id: Mapped[int | None] = mapped_column(ForeignKey("token.id"))
    track: Mapped[str]
    filename: Mapped[str]
    note: Mapped[str] = mapped_column(Text, default="")
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int]
    received_at: Mapped[datetime]
    day: Mapped[str] = mapped_column(String(10))
    """The UTC day it counts for."""
    event_seq: Mapped[int | None]
    """The event of the log that records its arrival; its hash stands in the receipt."""
    state: Mapped[str] = mapped_column(String(20))
    problems: Mapped[list[Any]]
    n_rows: Mapped[int | None]
    answers_sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    """Of the predictions alone: equal where two files hold the same answers."""
    model: Mapped[str | None]
    tokens: Mapped[float | None]
    """Mean tokens used a question."""
    tool_calls: Mapped[float | None]
    """Mean tool calls a question."""
    code_url: Mapped[str | None] = mapped_column(Text)
    disclosure: Mapped[dict[str, Any] | None]
    selected_at: Mapped[datetime | None]
    listed_at: Mapped[datetime | None]
    disqualified_at: Mapped[datetime | None]
    disqualified_reason: Mapped[str | None] = mapped_column(Text)


class Score(Base):
    """The score of one submission, under one version of the truth, on one part of it."""

    __tablename__ = "score"
    __table_args__ = (
        UniqueConstraint("submission_id", "truth_version_id", "part"),
        Index("ix_score_truth_part", "truth_version_id", "part"),
    )
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"))
    truth_version_id: Mapped[int] = mapped_column(ForeignKey("truth_version.id"))
    part: Mapped[str] = mapped_column(String(10))
    score: Mapped[float | None]
    de: Mapped[float | None]
    dir: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    """95 % interval of the score."""
    n: Mapped[int]
    df: Mapped[int]
    """Degrees of freedom: the smaller number of perturbations or genes, less one."""
    extras: Mapped[dict[str, Any]]
    """The whole result."""
    scored_at: Mapped[datetime]


class Replicate(Base):
    """The score under the resamples that all submissions share: from two of these follows a paired comparison."""

    __tablename__ = "replicate"
    score_id: Mapped[int] = mapped_column(ForeignKey("score.id"), primary_key=True)
    content: Mapped[bytes]
    """float32, shape (3, B): perturbations, genes, rows resampled."""


class AuditResult(Base):
    """What the audit found in a submission."""

    __tablename__ = "audit_result"
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), primary_key=True)
    audited_at: Mapped[datetime]
    severe: Mapped[int]
    warning: Mapped[int]
    note: Mapped[int]
    report: Mapped[dict[str, Any]]


class Job(Base):
    """Work to be done in the background, leased by one worker at a time."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_state_kind_id", "state", "kind", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    """Kind, submission and truth version: the same work cannot be queued twice."""
    kind: Mapped[str] = mapped_column(String(20))
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"))
    truth_version_id: Mapped[int | None] = mapped_column(ForeignKey("truth_version.id"))
    state: Mapped[str] = mapped_column(String(10))
    attempts: Mapped[int] = mapped_column(default=0)
    """How often it was leased; a lease holds only while this number is its own."""
    failures: Mapped[int] = mapped_column(default=0)
    """How often it ended in an error or in silence."""
    leased_by: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Event(Base):
    """One change of state. Each holds the hash of the one before; triggers refuse changes and deletions."""

    __tablename__ = "event"
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor: Mapped[str]
    kind: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]]
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class Review(Base):
    """A verdict on a submission, by an expert or by a language model. The latest of a reviewer counts."""

    __tablename__ = "review"
    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"), index=True)
    reviewer: Mapped[str]
    kind: Mapped[str] = mapped_column(String(10))
    """``expert`` or ``model``."""
    verdict: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(Text)
    novelty: Mapped[int | None]
    """1 to 5, for the award of the most novel entry."""
    at: Mapped[datetime]


class Award(Base):
    """A prize and who got it."""

    __tablename__ = "award"
    __table_args__ = (UniqueConstraint("name", "track", "place"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    track: Mapped[str] = mapped_column(default="")
    """Empty for prizes over all tracks."""
    place: Mapped[int]
    submission_id: Mapped[int] = mapped_column(ForeignKey("submission.id"))
    citation: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class Announcement(Base):
    """What organisers tell entrants, shown on the board's front page."""

    __tablename__ = "announcement"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    text: Mapped[str] = mapped_column(Text)
