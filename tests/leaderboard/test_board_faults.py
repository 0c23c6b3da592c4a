"""What a crash may not do: lose a submission, score one twice, or make a receipt a lie.

Each case runs an operation in a forked process that kills itself (SIGKILL) at one stage of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event as sa_event
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from tests.leaderboard.board_cases import Clock, answers, bundle, entrant, hand_in, new_store

from perturbarena.errors import BoardError
from perturbarena.leaderboard import Store, Worker, open_store, pipeline, submissions, verify_chain, verify_receipt
from perturbarena.leaderboard import worker as worker_module
from perturbarena.leaderboard.schema import AuditResult, Job, Replicate, Score, Submission

LONG = timedelta(hours=1)
ON_POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.slow)  # 19 more processes; two cases run by default


@pytest.fixture(params=["sqlite", ON_POSTGRESQL])
def fault_store(request, tmp_path, clock):
    """A challenge in SQLite, and for the slow tests in PostgreSQL too."""
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgresql" else None
    made = new_store(tmp_path, url=url, clock=clock)
    yield made
    made.close()


def die(*_args, **_kwargs) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(function: Callable, *, after: bool) -> Callable:
    """The function, and death before or after it."""

    def wrapped(*args, **kwargs):
        if not after:
            die()
        result = function(*args, **kwargs)
        die()
        return result

    return wrapped


def in_a_process_that_dies(work: Callable[[Callable[[str], None]], None]) -> list[str]:
    """Run in a forked process; what it told by its argument before it was killed."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside idle threads is what is wanted here
        child = os.fork()
    if child == 0:
        try:
            work(lambda text: os.write(writing, text.encode() + b"\n"))
        finally:
            os._exit(1)
    os.close(writing)
    with os.fdopen(reading) as told:
        lines = told.read().splitlines()
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the process was to be killed at this stage, and ended with {status}"
    assert os.WTERMSIG(status) == signal.SIGKILL
    return lines


def reopened(store: Store, clock: Clock) -> Store:
    """The same challenge with connections of its own."""
    return open_store(store.folder.path, url=str(store.engine.url), clock=clock)


def nothing_is_wrong(store: Store, receipts: list[dict], *, n: int | None = None) -> None:
    """Every receipt holds; every submission is whole and scored once; nothing is left to do; the log is whole."""
    assert [verify_receipt(store, receipt) for receipt in receipts] == [[] for _ in receipts]
    assert verify_chain(store).ok
    with store.reading() as session:
        rows = session.scalars(select(Submission)).all()
        counted = select(Score.submission_id, func.count()).group_by(Score.submission_id)
        per = {row[0]: row[1] for row in session.execute(counted)}
        jobs = session.scalars(select(Job)).all()
        n_scores = session.scalar(select(func.count()).select_from(Score))
        assert session.scalar(select(func.count()).select_from(Replicate)) == n_scores
        assert session.scalar(select(func.count()).select_from(AuditResult)) == len(rows)
    assert n is None or len(rows) == n
    assert {row.public_id for row in rows} >= {receipt["submission"] for receipt in receipts}
    for row in rows:
        assert row.state == "listed"
        assert store.folder.file(row.sha256).stat().st_size == row.size
        assert per[row.id] == 2
    assert {job.state for job in jobs} <= {"done"}
    assert len(jobs) == 2 * len(rows)


RECEIVING: dict[str, Callable[[], None]] = {
    "a chunk is written": lambda: _patch(submissions.Incoming, "write", after=True),
    "before the bytes are flushed": lambda: _patch(submissions.Incoming, "seal", after=False),
    "after the bytes are flushed": lambda: _patch(submissions.Incoming, "seal", after=True),
    "before the file is renamed": lambda: _patch(submissions, "_put", after=False),
    "after the file is renamed": lambda: _patch(submissions, "_put", after=True),
    "before the row is committed": lambda: _on_commit("before_commit", 1),
    "after the row is committed": lambda: _on_commit("after_commit", 1),
}
WORKING: dict[str, Callable[[], None]] = {
    "after the lease": lambda: _patch(worker_module, "lease", after=True),
    "before the check": lambda: _patch(pipeline, "_check", after=False),
    "after the check": lambda: _patch(pipeline, "_check", after=True),
    "after scoring": lambda: _patch(pipeline, "_score", after=True),
    "before the results are written": lambda: _patch(pipeline, "finish", after=False),
    "when the job is marked done": lambda: _patch(pipeline, "finish", after=True),
    "between the results": lambda: _patch(pipeline, "_keep_scores", after=True),
    "before the results are committed": lambda: _on_commit("before_commit", 2),
    "after the results are committed": lambda: _on_commit("after_commit", 2),
    "before the audit": lambda: _patch(pipeline, "audit", after=False),
    "before the audit is committed": lambda: _on_commit("before_commit", 4),
    "after the audit is committed": lambda: _on_commit("after_commit", 4),
}


def _patch(owner, name: str, *, after: bool) -> None:
    setattr(owner, name, dying(getattr(owner, name), after=after))


def _on_commit(when: str, number: int) -> None:
    """Die at the n-th commit of a session that writes."""
    seen = 0

    def count(session: Session) -> None:
        nonlocal seen
        if session.get_bind().get_execution_options().get("writer"):
            seen += 1
            if seen == number:
                die()

    sa_event.listen(Session, when, count)


@pytest.mark.parametrize("stage", RECEIVING)
def test_killed_while_receiving(fault_store, clock, tmp_path, stage):
    store = fault_store
    team, content = entrant(store, "A"), bundle(answers(), tmp_path)

    def work(tell):
        own = reopened(store, clock)
        RECEIVING[stage]()
        tell(json.dumps(hand_in(own, team, content).as_json()))

    told = in_a_process_that_dies(work)
    assert told == []  # it died before it could answer
    again = hand_in(store, team, content)  # as an entrant without a receipt does
    assert again.repeated == (stage == "after the row is committed")
    Worker(store).drain()
    nothing_is_wrong(store, [again.as_json()], n=1)
    clock.forward(days=60)
    submissions.sweep(store)
    assert not list(store.folder.incoming.iterdir())
    nothing_is_wrong(store, [again.as_json()], n=1)


@pytest.mark.parametrize("stage", WORKING)
def test_killed_while_working(fault_store, clock, tmp_path, stage):
    store = fault_store
    team = entrant(store, "A")
    receipts = [hand_in(store, team, bundle(answers(seed=s), tmp_path)).as_json() for s in range(2)]

    def work(_tell):
        own = reopened(store, clock)
        WORKING[stage]()
        Worker(own, name="doomed").drain()

    in_a_process_that_dies(work)
    Worker(store).drain()  # what the dead worker holds is not touched while its lease lasts
    clock.forward(seconds=LONG.total_seconds())
    Worker(store).drain()
    nothing_is_wrong(store, receipts, n=2)


def test_a_slow_worker_cannot_finish_what_another_took_over(each_store, clock, tmp_path):
    store = each_store
    hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    slow = worker_module.lease(store, "slow")
    assert slow is not None
    clock.forward(seconds=LONG.total_seconds())
    Worker(store, name="quick").drain()
    with pytest.raises(worker_module.LeaseLostError):
        pipeline.check_and_score(store, slow)
    with pytest.raises(worker_module.LeaseLostError):
        worker_module.renew(store, slow)
    worker_module.fail(store, slow, "too late")
    nothing_is_wrong(store, [], n=1)


def test_a_job_that_breaks_is_given_up_told_and_tried_again_on_request(store, tmp_path, monkeypatch):
    from perturbarena.leaderboard import list_jobs, retry_failed

    hand_in(store, entrant(store, "A"), bundle(answers(), tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "_score", lambda *_: 1 / 0)
        Worker(store).drain()
    assert [(j.state, j.error) for j in list_jobs(store)] == [("failed", "ZeroDivisionError: division by zero")]
    assert retry_failed(store) == 1
    Worker(store).drain()
    nothing_is_wrong(store, [], n=1)


@contextlib.contextmanager
def small_disk(folder: Path, *, kib: int) -> Iterator[None]:
    """A file system of this size over ``folder``; skips where none may be mounted."""
    folder.mkdir(exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0755", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command to make a small disk with")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


def test_a_full_disk_refuses_uploads_and_loses_nothing(tmp_path, clock):
    with small_disk(tmp_path / "disk", kib=1024):
        store = new_store(tmp_path / "disk", clock=clock)
        team, other = entrant(store, "A"), entrant(store, "B")
        receipts = [hand_in(store, team, bundle(answers(), tmp_path)).as_json()]
        filler = tmp_path / "disk" / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"\0" * 1024):
                pass
        for by, content in ((team, os.urandom(200_000)), (other, bundle(answers(seed=1), tmp_path))):
            with pytest.raises(BoardError) as caught:
                hand_in(store, by, content)
            assert caught.value.reason == "storage"
        assert not list(store.folder.incoming.glob("*"))
        worker = Worker(store)
        with pytest.raises(BoardError, match="cannot be used"):
            worker.drain()
        filler.unlink()
        clock.forward(seconds=LONG.total_seconds())
        receipts.append(hand_in(store, other, bundle(answers(seed=1), tmp_path)).as_json())
        worker.drain()
        nothing_is_wrong(store, receipts, n=2)
        store.close()


def test_a_file_size_limit_is_told_as_a_failing_disk(store, tmp_path):
    team = entrant(store, "A")

    def work(tell):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            with submissions.Incoming(store, max_bytes=10**6) as incoming:
                incoming.write(b"x" * 100_000)
                incoming.seal()
        except BoardError as error:
            tell(f"{error.reason}: {error}")
        die()

    told = in_a_process_that_dies(work)
    assert told == ["storage: the file cannot be stored: File too large"]
    assert team.team_id is not None


def test_a_database_that_restarts_loses_nothing(postgres, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(worker_module, "STORAGE_SECONDS", 0.05)
    monkeypatch.setattr(worker_module, "IDLE_SECONDS", 0.05)
    store = new_store(tmp_path, url=postgres.new_database(), clock=clock)
    team = entrant(store, "A")
    receipts = [hand_in(store, team, bundle(answers(seed=0), tmp_path)).as_json()]
    held = worker_module.lease(store, "interrupted")
    assert held is not None
    stop = threading.Event()
    thread = threading.Thread(target=Worker(store).run, args=(stop,))
    thread.start()
    try:
        postgres.stop()
        content = bundle(answers(seed=1), tmp_path)
        with pytest.raises(BoardError) as caught:
            hand_in(store, team, content)
        assert caught.value.reason == "storage"
        with pytest.raises(BoardError, match="cannot be used"):
            pipeline.check_and_score(store, held)
        postgres.start()
        receipts.append(hand_in(store, team, content).as_json())
        clock.forward(seconds=LONG.total_seconds())
        for _ in range(400):
            with store.reading() as session:
                states = set(session.scalars(select(Submission.state)))
            if states == {"listed"}:
                break
            stop.wait(0.05)
    finally:
        stop.set()
        thread.join()
    nothing_is_wrong(store, receipts, n=2)
    store.close()
