"""Random interleavings of uploads, leases, work, crashes, late finishes, outages and a moving clock.

Whatever the order: no submission with a receipt is lost, none is scored twice, and what is left gets done.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from sqlalchemy import func, select
from tests.leaderboard.board_cases import Clock, answers, bundle, entrant, hand_in, new_store

from perturbarena.errors import BoardError
from perturbarena.leaderboard import Worker, jobs, open_store, pipeline, queue, verify_chain, verify_receipt
from perturbarena.leaderboard.jobs import LeaseLostError
from perturbarena.leaderboard.schema import AuditResult, Job, Score, Submission

_TEMPLATE: dict[str, object] = {}


def template() -> tuple[Path, list, list[bytes]]:
    """A challenge with two teams, made once and copied for each run; and files to hand in, the last one broken."""
    if not _TEMPLATE:
        folder = Path(tempfile.mkdtemp(prefix="interleavings-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        store = new_store(folder, daily_limit=4)
        teams = [entrant(store, name) for name in ("A", "B")]
        store.close()
        files = [bundle(answers(skill=i, seed=i), folder) for i in range(6)]
        _TEMPLATE["made"] = (store.folder.path, teams, [*files, b"broken"])
    return _TEMPLATE["made"]  # type: ignore[return-value]


class Interleavings(RuleBasedStateMachine):
    """Two teams, any number of workers, one clock."""

    leases = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        source, self.teams, self.files = template()
        self.folder = Path(tempfile.mkdtemp(prefix="interleaving-"))
        shutil.copytree(source, self.folder / "challenge")
        self.clock = Clock()
        self.store = open_store(self.folder / "challenge", clock=self.clock)
        self.receipts: dict[str, dict] = {}
        self.scored: set[int] = set()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.everything_gets_done()
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(team=st.integers(0, 1), file=st.integers(0, 6))
    def upload(self, team: int, file: int) -> None:
        refused = ""
        try:
            receipt = hand_in(self.store, self.teams[team], self.files[file])
        except BoardError as error:
            refused = error.reason
        if refused:
            assert refused == "limit"
            return
        assert receipt.repeated == (receipt.submission in self.receipts)
        known = self.receipts.setdefault(receipt.submission, receipt.as_json())
        assert {**receipt.as_json(), "repeated": False} == known

    @rule(target=leases, worker=st.sampled_from(["w1", "w2", "w3"]))
    def lease(self, worker: str):
        return self.lease_by(worker)

    @rule(target=leases, worker=st.sampled_from(["w1", "w2", "w3"]))
    def silence_and_another_takes_over(self, worker: str):
        self.clock.forward(seconds=61)
        return self.lease_by(worker)

    def lease_by(self, worker: str):
        held = jobs.lease(self.store, worker, seconds=60)
        return multiple() if held is None else held

    @rule(held=leases)
    def work(self, held) -> None:
        """Finish a job, perhaps one that was taken over, given back or finished long ago."""
        before = self.state_of(held.job_id)
        try:
            if held.kind == "check_score":
                pipeline.check_and_score(self.store, held)
            else:
                pipeline.audit(self.store, held, None)
        except LeaseLostError:
            assert before != ("running", held.worker, held.attempt)
            return
        assert before == ("running", held.worker, held.attempt)

    @rule(held=leases)
    def sign_of_life(self, held) -> None:
        before = self.state_of(held.job_id)
        try:
            jobs.renew(self.store, held, seconds=60)
        except LeaseLostError:
            assert before != ("running", held.worker, held.attempt)

    @rule(held=leases)
    def fail(self, held) -> None:
        jobs.fail(self.store, held, "it broke")

    @rule(held=leases)
    def give_back(self, held) -> None:
        jobs.release(self.store, held)

    @rule(seconds=st.sampled_from([1, 61, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.forward(seconds=seconds)

    @rule()
    def organiser_retries(self) -> None:
        jobs.retry_failed(self.store)

    @rule()
    def everything_restarts(self) -> None:
        self.store.close()
        self.store = open_store(self.folder / "challenge", clock=self.clock)

    def state_of(self, job_id: int) -> tuple[str, str | None, int]:
        with self.store.reading() as session:
            job = session.get_one(Job, job_id)
            return job.state, job.leased_by, job.attempts

    @invariant()
    def receipts_hold_and_nothing_is_scored_twice(self) -> None:
        if not hasattr(self, "store"):
            return
        with self.store.reading() as session:
            per = select(Score.submission_id, func.count()).group_by(Score.submission_id)
            counted = {row[0]: row[1] for row in session.execute(per)}
            rows = session.scalars(select(Submission)).all()
        assert {row.public_id for row in rows} == set(self.receipts)
        for row in rows:
            assert counted.get(row.id, 0) == (2 if row.state in ("scored", "listed") or row.id in counted else 0)
        now_scored = set(counted)
        assert self.scored <= now_scored
        self.scored = now_scored

    def everything_gets_done(self) -> None:
        self.clock.forward(days=1)
        Worker(self.store).drain()
        jobs.retry_failed(self.store)
        Worker(self.store).drain()
        assert all(set(states) == {"done"} for states in queue(self.store).values())
        with self.store.reading() as session:
            rows = session.scalars(select(Submission)).all()
            n_audits = session.scalar(select(func.count()).select_from(AuditResult))
        states = [row.state for row in rows]
        assert set(states) <= {"listed", "rejected"}
        assert n_audits == states.count("listed")
        for receipt in self.receipts.values():
            assert verify_receipt(self.store, receipt) == []
        assert verify_chain(self.store).ok


Interleavings.TestCase.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestInterleavings = Interleavings.TestCase


@pytest.mark.slow  # as the one above, ten times as long
class TestManyInterleavings(Interleavings.TestCase):
    """More and longer runs."""

    settings = settings(
        max_examples=80, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
