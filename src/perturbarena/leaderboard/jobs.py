"""Work in the background: leased by one worker at a time, taken up again when a worker dies, counted once.

A lease names the attempt it belongs to. Results are written in the transaction that finishes the job, and that
transaction fails unless the job still runs under this very attempt: a worker that was slow, or thought dead, can
finish nothing that another has taken over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from perturbarena.errors import BoardError
from perturbarena.leaderboard.events import record
from perturbarena.leaderboard.identity import CONSOLE, Identity
from perturbarena.leaderboard.schema import JOB_KINDS, Job, Submission
from perturbarena.leaderboard.store import Store

LEASE_SECONDS: Final = 60
"""How long a job may go without a sign of life."""
MAX_FAILURES: Final = 5
"""After so many errors, or workers that fell silent, a job is given up: what kills five would kill the sixth."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A job that a worker may do until ``until``; ``attempt`` tells this lease from later ones."""

    job_id: int
    kind: str
    submission_id: int
    truth_version_id: int | None
    attempt: int
    worker: str
    until: datetime


class LeaseLostError(Exception):
    """The job has been taken over, or is finished: what was worked out is thrown away."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as organisers may see it."""

    id: int
    kind: str
    submission_id: int
    state: str
    attempts: int
    leased_by: str | None
    lease_until: datetime | None
    error: str


def enqueue(
    session: Session, kind: str, submission_id: int, *, now: datetime, truth_version_id: int | None = None
) -> bool:
    """Put a job in the queue, within a session that writes; False where the same job is there already."""
    key = f"{kind}:{submission_id}:{truth_version_id or '-'}"
    if session.scalar(select(Job.id).where(Job.key == key)) is not None:
        return False
    session.add(
        Job(
            key=key,
            kind=kind,
            submission_id=submission_id,
            truth_version_id=truth_version_id,
            state="waiting",
            created_at=now,
        )
    )
    return True


def lease(
    store: Store, worker: str, *, kinds: Sequence[str] = JOB_KINDS, seconds: float = LEASE_SECONDS
) -> Lease | None:
    """The oldest job that waits, or whose worker has given no sign of life; None where there is none.

    Jobs that failed too often are given up on the way.
    """
    worker = worker[:200]
    with store.reading() as session:  # the common case, an empty queue, takes no lock
        if session.scalar(_free(kinds, store.now()).limit(1)) is None:
            return None
    with store.writing() as session:
        now = store.now()
        while (job := session.scalar(_free(kinds, now).limit(1))) is not None:
            if job.state == "running":
                job.failures += 1
            if job.failures >= MAX_FAILURES:
                _give_up(session, job, f"its workers died or fell silent {job.failures} times", now)
                continue
            job.state, job.leased_by, job.attempts = "running", worker, job.attempts + 1
            until = job.lease_until = now + timedelta(seconds=seconds)
            return Lease(job.id, job.kind, job.submission_id, job.truth_version_id, job.attempts, worker, until)
    return None


def renew(store: Store, held: Lease, *, seconds: float = LEASE_SECONDS) -> None:
    """A sign of life; LeaseLostError where the job has been taken over."""
    with store.writing() as session:
        _held(session, held).lease_until = store.now() + timedelta(seconds=seconds)


def finish(session: Session, held: Lease, *, now: datetime) -> None:
    """Mark a job done, in the session that writes its results.

    Raises
    ------
    LeaseLostError
        If the lease no longer holds; the session must then be rolled back.
    """
    job = _held(session, held)
    job.state, job.finished_at, job.lease_until, job.error = "done", now, None, None


def fail(store: Store, held: Lease, error: str) -> None:
    """Give a job back after an error: it is tried again, ``MAX_FAILURES`` times in all."""
    with store.writing() as session:
        try:
            job = _held(session, held)
        except LeaseLostError:
            return
        job.error, job.lease_until, job.leased_by = error[:2000], None, None
        job.failures += 1
        if job.failures >= MAX_FAILURES:
            _give_up(session, job, error, store.now())
        else:
            job.state = "waiting"


def release(store: Store, held: Lease) -> None:
    """Give a job back untouched, as when a worker is told to stop; that is no failure."""
    with store.writing() as session:
        try:
            job = _held(session, held)
        except LeaseLostError:
            return
        job.state, job.lease_until, job.leased_by = "waiting", None, None


def end_leases(store: Store, worker: str) -> int:
    """End the leases of workers whose names begin like this, which are known to be dead; how many."""
    with store.writing() as session:
        held = session.scalars(select(Job).where(Job.state == "running", Job.leased_by.startswith(worker)))
        ended = 0
        for job in held:
            job.lease_until = store.now() - timedelta(seconds=1)
            ended += 1
        return ended


def retry_failed(store: Store, *, by: Identity = CONSOLE) -> int:
    """Put jobs that were given up into the queue again; how many."""
    with store.writing() as session:
        jobs = session.scalars(select(Job).where(Job.state == "failed")).all()
        for job in jobs:
            job.state, job.failures, job.error = "waiting", 0, None  # attempts stay: they tell leases apart
            row = session.get_one(Submission, job.submission_id)
            if row.state == "failed":
                row.state = "scored" if job.kind == "audit" else "received"
        if jobs:
            record(session, at=store.now(), actor=by.actor, kind="job.retried", subject="jobs", n=len(jobs))
        return len(jobs)


def queue(store: Store) -> dict[str, dict[str, int]]:
    """How many jobs of each kind are in each state."""
    with store.reading() as session:
        rows = session.execute(select(Job.kind, Job.state, func.count()).group_by(Job.kind, Job.state))
        found: dict[str, dict[str, int]] = {}
        for kind, state, n in rows:
            found.setdefault(kind, {})[state] = n
        return found


def list_jobs(store: Store, *, state: str | None = None) -> list[JobRecord]:
    """Jobs in order, all or those in one state."""
    query = select(Job).order_by(Job.id)
    if state is not None:
        query = query.where(Job.state == state)
    with store.reading() as session:
        return [
            JobRecord(
                j.id, j.kind, j.submission_id, j.state, j.attempts, j.leased_by, j.lease_until, j.error or ""
            )
            for j in session.scalars(query)
        ]


def _free(kinds: Sequence[str], now: datetime):
    expired = and_(Job.state == "running", Job.lease_until < now)
    return (
        select(Job)
        .where(Job.kind.in_(kinds), or_(Job.state == "waiting", expired))
        .order_by(Job.failures, Job.id)  # what failed before waits behind what did not
    )


def _held(session: Session, held: Lease) -> Job:
    job = session.get(Job, held.job_id)
    if job is None:
        raise BoardError(f"there is no job {held.job_id}", reason="missing")
    if job.state != "running" or job.leased_by != held.worker or job.attempts != held.attempt:
        raise LeaseLostError(f"job {held.job_id}, attempt {held.attempt} of {held.worker}")
    return job


def _give_up(session: Session, job: Job, error: str, now: datetime) -> None:
    job.state, job.error, job.finished_at, job.lease_until = "failed", error[:2000], now, None
    row = session.get_one(Submission, job.submission_id)
    if job.kind != "rescore":
        row.state = "failed"
    record(
        session,
        at=now,
        actor="worker",
        kind="job.failed",
        subject=f"submission:{row.public_id}",
        job=job.kind,
        error=error[:500],
    )
