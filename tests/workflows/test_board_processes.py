"""The real processes: ``serve`` and its background worker, killed while entrants hand in."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select
from tests.leaderboard.board_cases import TRACK, answers, bundle, new_store
from tests.leaderboard.postgres import Server

from perturbarena.leaderboard import create_team, create_token, open_store, queue, verify_chain, verify_receipt
from perturbarena.leaderboard.schema import Score, Submission
from perturbarena.leaderboard.store import utc_now

SERVE = [sys.executable, "-c", "from perturbarena.cli import main; main()", "serve"]


class Board:
    """``perturbarena serve`` as a process that may be killed and started again."""

    def __init__(self, folder: Path, url: str | None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._argv = [*SERVE, str(folder), "--port", str(self.port)]
        self._argv += ["--database", url] if url else []
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self._argv, stderr=subprocess.DEVNULL, start_new_session=True)

    def children(self) -> list[int]:
        """Processes of the server's session, but for itself."""
        assert self.process is not None
        own = self.process.pid
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == own and int(place.name) != own:
                found.append(int(place.name))
        return found

    def kill(self, *, worker_too: bool) -> None:
        assert self.process is not None
        for pid in [*(self.children() if worker_too else []), self.process.pid]:
            _kill(pid)
        self.process.wait()

    def kill_worker(self) -> None:
        for pid in self.children():
            _kill(pid)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def hand_in_until_receipt(port: int, secret: str, content: bytes, receipts: list[dict]) -> None:
    """As a patient entrant: again and again until there is a receipt."""
    for _ in range(600):
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/api/v1/submissions", params={"track": TRACK}, content=content,
                headers={"Authorization": f"Bearer {secret}", "Content-Type": "application/zip"}, timeout=20,
            )  # fmt: skip
        except httpx.HTTPError:
            time.sleep(0.1)
            continue
        if answer.status_code in (200, 201):
            receipts.append(answer.json())
            return
        assert answer.status_code in (429, 503, 507), answer.text
        time.sleep(0.2)
    raise AssertionError("no receipt in a minute")


@pytest.mark.slow  # starts and kills real processes for a minute
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_killed_at_random_while_entrants_hand_in(tmp_path, database, request):
    url = None
    if database == "postgresql":
        server: Server = request.getfixturevalue("postgres_server")
        url = server.new_database()
    store = new_store(
        tmp_path, url=url, clock=utc_now, deadline=datetime.now(UTC) + timedelta(days=1), daily_limit=100
    )
    secrets = []
    for i in range(3):
        create_team(store, f"Team {i}")
        secrets.append(create_token(store, team=f"Team {i}", scopes=("read", "submit")).secret)
    contents = [bundle(answers(seed=s), tmp_path) for s in range(24)]
    board, receipts = Board(store.folder.path, url), []
    board.start()

    def entrant(i: int) -> None:
        for content in contents[i::3]:
            hand_in_until_receipt(board.port, secrets[i], content, receipts)
            time.sleep(0.3)

    entrants = [threading.Thread(target=entrant, args=(i,)) for i in range(3)]
    for thread in entrants:
        thread.start()
    chance, kills = random.Random(5), 0
    while any(thread.is_alive() for thread in entrants):
        time.sleep(chance.uniform(2, 6))
        if chance.random() < 0.5:
            board.kill_worker()
        else:
            board.kill(worker_too=chance.random() < 0.5)
            board.start()
        kills += 1
    for thread in entrants:
        thread.join()
    end = time.time() + 240
    while time.time() < end:
        jobs = queue(store)
        left = sum(of.get(state, 0) for of in jobs.values() for state in ("waiting", "running"))
        if not left and jobs.get("audit", {}).get("done") == len(contents):
            break
        time.sleep(0.5)
    assert board.stop() in (0, -signal.SIGTERM)
    assert kills >= 2
    check = open_store(store.folder.path, url=url)
    assert len(receipts) == len(contents)
    assert [verify_receipt(check, {**receipt, "repeated": False}) for receipt in receipts] == [[]] * len(contents)
    with check.reading() as session:
        rows = session.scalars(select(Submission)).all()
        n_scores = session.scalar(select(func.count()).select_from(Score))
    assert [row.state for row in rows] == ["listed"] * len(contents)
    assert n_scores == 2 * len(contents)
    assert all(set(of) == {"done"} for of in queue(check).values())
    assert verify_chain(check).ok
    check.close()
    store.close()


def test_serve_scores_in_the_background_and_ends_when_told(tmp_path):
    store = new_store(tmp_path, clock=utc_now, deadline=datetime.now(UTC) + timedelta(days=1))
    create_team(store, "A")
    secret = create_token(store, team="A", scopes=("read", "submit")).secret
    board, receipts = Board(store.folder.path, None), []
    board.start()
    try:
        hand_in_until_receipt(board.port, secret, bundle(answers(), tmp_path), receipts)
        for _ in range(300):
            if queue(store).get("audit", {}).get("done"):
                break
            time.sleep(0.2)
        page = httpx.get(f"http://127.0.0.1:{board.port}/api/v1/boards/{TRACK}", timeout=20)
        workers = board.children()
        assert workers
    finally:
        code = board.stop()
    assert page.json()["rows"][0]["team"] == "A"
    assert code in (0, -signal.SIGTERM)
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in workers):
            break
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    store.close()


@pytest.fixture(scope="module")
def postgres_server():
    """A PostgreSQL server of this file's own, or a skip with the reason."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        server = Server(folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
