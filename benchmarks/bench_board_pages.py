"""How fast a board's page comes while 200 people read it, others hand in, and a worker scores beside it.

    .venv/bin/python benchmarks/bench_board_pages.py [--seconds 60] [--readers 200] [--pause 1] [--uploads 20]

The board lists 2,000 submissions of 400 teams, put into the database with made-up scores and resamples; ties are
worked out from them as ever. The server is a process of its own with one background worker, as ``serve`` starts
them; the readers are another process on the same cores. Each reader keeps a connection, asks for the first page
of the board (compressed), and pauses for ``--pause`` seconds on average; ``--pause 0`` asks again at once, which
shows how many pages a second there are. Uploads are track A entries of 1,813 rows, checked and scored meanwhile,
and audited; with --no-audit the audit looks for copied answers alone. "Alone" is one reader without pause before
all that; "control" is what the same readers see, before all that, of a server that does nothing but answer with as
many bytes: what it takes is the machine's, not the board's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sqlalchemy import select

from bench_board import marked, new_challenge, questions_and_table, variants
from perturbarena.leaderboard import Store, create_team, create_token
from perturbarena.leaderboard.schema import Replicate, Score, Submission, Team
from perturbarena.leaderboard.store import bump
from perturbarena.leaderboard.truths import list_truths

N_TEAMS = 400
TRACK = "A"


def fill(store: Store, n_submissions: int) -> None:
    """Listed submissions with made-up scores: teams of different skill, submissions that wobble about it."""
    rng = np.random.default_rng(0)
    teams = [create_team(store, f"Team {i}").id for i in range(N_TEAMS)]
    skill = 0.5 + 0.2 * rng.beta(2, 3, N_TEAMS)
    shared = rng.normal(0, 0.012, (3, 1000))
    now = datetime.now(UTC)
    with store.writing() as session:
        for i in range(n_submissions):
            at = now - timedelta(days=30 * (1 - i / n_submissions))
            row = Submission(
                public_id=f"{i:032x}", team_id=teams[i % N_TEAMS], track=TRACK, filename=f"entry-{i}.zip", note="",
                sha256=f"{i:064x}", size=500_000, received_at=at, day=at.date().isoformat(), state="listed",
                problems=[], n_rows=1813, model="openai/gpt-oss-120b", tokens=2000.0 + i, listed_at=at,
            )  # fmt: skip
            session.add(row)
            session.flush()
            value = float(skill[i % N_TEAMS] + rng.normal(0, 0.01))
            for part in ("public", "private"):
                extras = {"n_perts": 40, "n_genes": 300, "n": 900, "measures": dict.fromkeys("abcdefgh", value)}
                score = Score(
                    submission_id=row.id, truth_version_id=1, part=part, score=value, de=value, dir=value,
                    low=value - 0.03, high=value + 0.03, n=900, df=39, extras=extras, scored_at=at,
                )  # fmt: skip
                session.add(score)
                session.flush()
                draws = value + shared + rng.normal(0, 0.008, (3, 1000))
                session.add(Replicate(score_id=score.id, content=draws.astype(np.float32).tobytes()))
        bump(session)


def serve(folder: Path, url: str | None, port: int) -> None:
    """As ``perturbarena serve --workers 0``."""
    from perturbarena.workflows.leaderboard import serve_challenge

    serve_challenge(folder, url=url, port=port, workers=0)


def answer_only(port: int) -> None:
    """A server that gives every request the same 10 kB."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + b"x" * 10_000

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)

    async def go() -> None:
        server = await asyncio.start_server(talk, "127.0.0.1", port, backlog=512)
        await server.serve_forever()

    asyncio.run(go())


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.1)
    raise SystemExit(f"nobody listens on port {port}")


def control(port: int, readers: int, pause: float, seconds: float, folder: Path) -> list[float]:
    """The seconds that the readers wait for it."""
    server = in_process(answer_only, port)
    try:
        wait_for(port)
        process = in_process(read_all, port, readers, pause, seconds, folder / "control.json")
        process.join()
        return json.loads((folder / "control.json").read_text())
    finally:
        server.terminate()
        server.join()


def work(folder: Path, url: str | None, audit: bool) -> None:
    """The background worker, with the whole audit or with the search for copied answers alone."""
    from perturbarena.leaderboard import Worker, open_store
    from perturbarena.workflows.leaderboard import run_worker

    if audit:
        run_worker(folder, url=url)
    else:
        Worker(open_store(folder, url=url)).run(threading.Event())


async def one_page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> int:
    """Ask and read the whole answer; the bytes of its body."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(head[:100].decode())
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await reader.readexactly(length)
    return length


async def read_on(port: int, end: float, pause: float, took: list[float], seed: int) -> None:
    """One person: asks, reads, pauses; comes back when the connection was closed meanwhile."""
    rng = np.random.default_rng(seed)
    request = f"GET /tracks/{TRACK} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
    await asyncio.sleep(rng.uniform(0, max(pause, 0.2)))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        start = time.perf_counter()
        try:
            await one_page(reader, writer, request)
        except (asyncio.IncompleteReadError, ConnectionError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await one_page(reader, writer, request)
        took.append(time.perf_counter() - start)
        if pause:
            await asyncio.sleep(rng.exponential(pause))
    writer.close()


def read_all(port: int, readers: int, pause: float, seconds: float, out: Path) -> None:
    """All readers, in a process of their own; their seconds into a file."""

    async def go() -> list[float]:
        took: list[float] = []
        end = time.perf_counter() + seconds
        await asyncio.gather(*(read_on(port, end, pause, took, i) for i in range(readers)))
        return took

    out.write_text(json.dumps(asyncio.run(go())))


def upload_all(
    port: int, tokens: list[str], packed: list[bytes], per_minute: float, seconds: float, out: Path
) -> None:
    """Hand in at a steady pace through the API; the seconds that each took into a file."""
    import http.client

    took, end, i = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        start = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        headers = {"Authorization": f"Bearer {tokens[i % len(tokens)]}", "Content-Type": "application/zip"}
        body = marked(packed[i % len(packed)], i)
        connection.request("POST", f"/api/v1/submissions?track={TRACK}", body=body, headers=headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise RuntimeError(f"an upload was refused: {answer.status}")
        took.append(time.perf_counter() - start)
        connection.close()
        i += 1
        time.sleep(max(0.0, 60 / per_minute - (time.perf_counter() - start)))
    out.write_text(json.dumps(took))


def in_process(target, *args) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    process.start()
    return process


def processor_seconds(pid: int) -> float:
    """What a running process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(took: list[float], q: float) -> str:
    return f"{np.percentile(took, q) * 1e3:.1f}"


def measure(name: str, url: str | None, args: argparse.Namespace, questions: Path, packed: list[bytes]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-pages-"))
    store = new_challenge(folder / "source", questions, url)
    assert list_truths(store)[0].number == 1
    fill(store, args.submissions)
    with store.reading() as session:
        names = list(session.scalars(select(Team.name).limit(40)))
    tokens = [create_token(store, team=team, scopes=("read", "submit")).secret for team in names]
    place = store.folder.path
    bare = control(args.port + 1, args.readers, args.pause, args.seconds, folder)
    processes = [in_process(serve, place, url, args.port)]
    try:
        wait_for(args.port)
        read_all(args.port, 1, 0, 0.5, folder / "warm.json")
        read_all(args.port, 1, 0, 3.0, folder / "alone.json")
        alone = json.loads((folder / "alone.json").read_text())
        used = processor_seconds(processes[0].pid or 0)
        processes.append(in_process(work, place, url, not args.no_audit))
        uploads = in_process(upload_all, args.port, tokens, packed, args.uploads, args.seconds, folder / "up.json")
        readers = in_process(read_all, args.port, args.readers, args.pause, args.seconds, folder / "read.json")
        for process in (readers, uploads):
            process.join()
        used = processor_seconds(processes[0].pid or 0) - used
        took, sent = (json.loads((folder / f"{n}.json").read_text()) for n in ("read", "up"))
        with store.reading() as session:
            n_listed = len(list(session.scalars(select(Submission.id).where(Submission.state == "listed"))))
        cells = (
            name, args.readers, f"{args.pause:g}", len(sent), n_listed - args.submissions, f"{len(took):,}",
            f"{len(took) / args.seconds:.0f}", ", ".join(percentile(bare, q) for q in (50, 95, 99)),
            percentile(alone, 50),
            f"{used / len(took) * 1e3:.2f}",
            percentile(took, 50), percentile(took, 95),
            percentile(took, 99), f"{max(took) * 1e3:.0f}", percentile(sent, 95), f"{os.getloadavg()[0]:.1f}",
        )  # fmt: skip
        print("|", " | ".join(map(str, cells)), "|", flush=True)
    finally:
        for process in processes:
            process.terminate()
            process.join()
        store.close()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--uploads", type=float, default=20, help="a minute")
    parser.add_argument("--submissions", type=int, default=2000)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--port", type=int, default=8942)
    parser.add_argument("--no-audit", action="store_true")
    args = parser.parse_args()
    header = (
        "database", "readers", "pause, s", "uploads", "listed meanwhile", "pages", "pages a second",
        "control: median, p95, p99, ms", "alone: median, ms", "server's processor a page, ms", "median, ms",
        "p95, ms", "p99, ms", "slowest, ms", "upload p95, ms", "load after",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        what, questions, table = questions_and_table(Path(name))
        packed = variants(table, Path(name))
        print(
            f"{args.submissions:,} submissions of {N_TEAMS} teams; uploads: {what}, {len(table):,} rows; ", end=""
        )
        print(f"load before {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print("|", " | ".join(header), "|")
        print("|", " | ".join(["---"] * len(header)), "|", flush=True)
        for database in args.databases.split(","):
            if database == "sqlite":
                measure("SQLite", None, args, questions, packed)
                continue
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
