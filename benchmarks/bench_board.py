"""How fast a board takes in, checks and scores submissions, by worker processes, in SQLite and PostgreSQL.

    .venv/bin/python benchmarks/bench_board.py [--submissions 400] [--workers 2] [--audits 10]

The submissions are the published track A output (1,813 rows with traces) with noise in its answers, where
PERTURBARENA_TEST_DATA (default ``../shared`` beside the repository) holds it, else made-up ones of its shape.
Labels are random: the real ones are not public, and time does not depend on them. PostgreSQL is started and
stopped here. Seconds count from the start of the worker processes; "processor" is what they used, start of Python
included.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from perturbarena.challenge.describe import sample_table
from perturbarena.challenge.formats import read_questions, read_table, write_questions, write_table
from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.leaderboard import (
    ChallengePlan,
    Incoming,
    Store,
    create_challenge,
    create_team,
    create_token,
    identify,
    queue,
    receive,
    verify_chain,
)
from perturbarena.leaderboard.board import board
from perturbarena.workflows.leaderboard import rules_text, run_worker

SHARED = Path(os.environ.get("PERTURBARENA_TEST_DATA", Path(__file__).resolve().parents[2] / "shared"))
CHALLENGE = load_challenge("bioreasoning-2026")
N_VARIANTS = 16
N_TEAMS = 200
N_ROWS = 1_813


def questions_and_table(folder: Path) -> tuple[str, Path, pd.DataFrame]:
    real = SHARED / "data" / "bioreasoning" / "test.csv"
    if real.exists():
        return "published track A output", real, read_table(SHARED / "data/llm_outputs/kit_track_a_test.csv.gz")
    asked = Questions.from_pairs([f"P{i // 12}" for i in range(N_ROWS)], [f"G{i % 600}" for i in range(N_ROWS)])
    write_questions(folder / "q.csv", asked)
    table = sample_table(CHALLENGE, CHALLENGE.track("A"), asked)
    for column in CHALLENGE.track("A").columns:
        if column.role == "trace":
            table[column.name] = [f"the gene {i} may move " * 40 for i in range(N_ROWS)]
    return "made-up", folder / "q.csv", table


def variants(table: pd.DataFrame, folder: Path) -> list[bytes]:
    """Zips whose answers differ; seeds and prediction stay consistent."""
    from perturbarena.submission import pack

    rng = np.random.default_rng(0)
    track = CHALLENGE.track("A")
    (folder / "prompt.txt").write_text("Does the gene go up, down, or stay?\n")
    packed = []
    for _ in range(N_VARIANTS):
        changed = table.copy()
        noise = rng.uniform(0.5, 1.0, size=len(table))
        for column in track.columns:
            if column.role in ("p_up", "p_down"):
                changed[column.name] = np.round(pd.to_numeric(table[column.name]) * noise, 6)
        write_table(folder / "t.csv", changed)
        pack(folder / "t.csv", folder / "s.zip", challenge=CHALLENGE, track="A", prompt=folder / "prompt.txt")
        packed.append((folder / "s.zip").read_bytes())
    return packed


def marked(content: bytes, mark: int) -> bytes:
    """The same zip with another comment: other bytes, the same entry."""
    raw = io.BytesIO(content)
    with zipfile.ZipFile(raw, "a") as archive:
        archive.comment = str(mark).encode()
    return raw.getvalue()


def new_challenge(folder: Path, questions: Path, url: str | None) -> Store:
    asked = read_questions(questions)
    rng = np.random.default_rng(1)
    labels = rng.choice(["none", "up", "down"], size=len(asked), p=[0.55, 0.31, 0.14])
    usage = np.where(rng.random(len(asked)) < 0.5, "Public", "Private")
    folder.mkdir()
    write_table(folder / "solution.csv", pd.DataFrame({"id": asked.id, "label": labels, "Usage": usage}))
    plan = ChallengePlan(
        rules=rules_text("bioreasoning-2026"), questions=questions, truth=folder / "solution.csv",
        deadline=datetime.now(UTC) + timedelta(days=1), daily_limit=10**6,
    )  # fmt: skip
    return create_challenge(folder / "challenge", plan, url=url)


def work(folder: Path, url: str | None, kind: str, n: int) -> tuple[float, float]:
    """Wall seconds in which ``n`` processes empty the queue, and the processor seconds that they use."""
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=run_worker, args=(folder,), kwargs={"url": url, "queue": kind}) for _ in range(n)
    ]
    start, before = time.perf_counter(), children_seconds()
    for process in workers:
        process.start()
    from perturbarena.leaderboard import open_store

    store = open_store(folder, url=url)
    job = {"score": "check_score", "audit": "audit"}[kind]
    while any(queue(store).get(job, {}).get(state, 0) for state in ("waiting", "running")):
        time.sleep(0.2)
    seconds = time.perf_counter() - start
    for process in workers:
        process.terminate()
        process.join()
    failed = queue(store).get(job, {}).get("failed", 0)
    store.close()
    if failed:
        raise SystemExit(f"{failed} jobs failed")
    return seconds, children_seconds() - before


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(name: str, url: str | None, args: argparse.Namespace, questions: Path, packed: list[bytes]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-board-"))
    try:
        store = new_challenge(folder / "source", questions, url)
        teams = []
        for i in range(min(N_TEAMS, args.submissions)):
            create_team(store, f"Team {i}")
            secret = create_token(store, team=f"Team {i}", scopes=("submit",)).secret
            teams.append(identify(store, secret))
        start = time.perf_counter()
        for i in range(args.submissions):
            with Incoming(store) as incoming:
                incoming.write(marked(packed[i % len(packed)], i))
                receive(store, incoming, by=teams[i % len(teams)], track="A")
        received = time.perf_counter() - start
        scored, used = work(store.folder.path, url, "score", args.workers)
        audited = float("nan")
        if args.audits:
            drop_audits(store, keep=args.audits)
            audited = work(store.folder.path, url, "audit", args.workers)[1] / args.audits
        start = time.perf_counter()
        rows = len(board(store, "A").rows)
        shown = time.perf_counter() - start
        assert verify_chain(store).ok
        each = scored / args.submissions
        cells = (
            name, f"{args.submissions:,}", args.workers, f"{received / args.submissions * 1e3:.1f}",
            f"{scored:.0f}", f"{each:.3f}", f"{used / args.submissions:.3f}", f"{each * 5000 / 60:.1f}",
            f"{audited:.2f}", f"{shown * 1e3:.0f} ({rows} rows)",
        )  # fmt: skip
        print("|", " | ".join(map(str, cells)), "|", flush=True)
        store.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def drop_audits(store: Store, *, keep: int) -> None:
    """Leave some audits in the queue: they take seconds each, and a few tell the rate."""
    from sqlalchemy import select

    from perturbarena.leaderboard.schema import Job, Submission

    with store.writing() as session:
        for job in session.scalars(select(Job).where(Job.kind == "audit").order_by(Job.id).offset(keep)):
            session.get_one(Submission, job.submission_id).state = "listed"
            session.delete(job)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--submissions", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--audits", type=int, default=10)
    parser.add_argument("--databases", default="sqlite,postgresql")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        what, questions, table = questions_and_table(Path(name))
        packed = variants(table, Path(name))
        size = sum(map(len, packed)) / len(packed) / 2**20
        load = os.getloadavg()[0]
        print(f"{what}, {len(table):,} rows, {size:.2f} MiB zipped; load {load:.1f} on {os.cpu_count()} cores\n")
        header = (
            "database", "submissions", "workers", "receive, ms each", "check and score, s", "s each",
            "processor, s each", "5,000 would take, min", "audit, processor s each", "board, ms",
        )  # fmt: skip
        print("|", " | ".join(header), "|")
        print("|", " | ".join(["---"] * len(header)), "|", flush=True)
        for database in args.databases.split(","):
            if database == "sqlite":
                measure("SQLite", None, args, questions, packed)
            else:
                from tests.leaderboard.postgres import Server

                server_folder = Path(tempfile.mkdtemp(prefix="pg-"))
                server = Server(server_folder)
                server.start()
                try:
                    measure("PostgreSQL", server.new_database(), args, questions, packed)
                finally:
                    server.stop()
                    shutil.rmtree(server_folder, ignore_errors=True)


if __name__ == "__main__":
    main()
