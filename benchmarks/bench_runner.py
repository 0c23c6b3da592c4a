"""How fast ``run prompt`` is, how close to a slow server's own limit, and how much memory it takes.

Run: python benchmarks/bench_runner.py [--questions 2000] [--limited 600] [--latency-ms 50] [--concurrency 200]
     [--only speed|limited]

Three seeded calls a question against ``fake-model``, which counts the calls itself. ``calls/s`` is over the time
that ``run.json`` gives for asking; ``end to end`` is the whole command, start-up and tables included. Processor
time is the client's alone: on a machine that does other work, 1 / (CPU a call) is what one free core would do.
Memory is a process's peak; the line for 10,000 questions goes through those of a shard and of the whole run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perturbarena.challenge.formats import write_questions
from perturbarena.challenge.records import Questions
from perturbarena.tracks.models import FakeModel

SEEDS = 3
MANY = 10_000
"""Questions for which memory is told."""
SERVER_LIMIT = 20.0
"""Calls per second of the slow server."""
COMMAND = [sys.executable, "-c", "from perturbarena.cli import main; main()"]


class Cost(NamedTuple):
    """What one command took: wall time, processor time, peak memory."""

    seconds: float
    cpu_s: float
    peak_mib: float


def timed(commands: Sequence[Sequence[str]]) -> tuple[float, list[Cost]]:
    """Run commands side by side; the wall time of all, and each one's cost."""
    start = time.perf_counter()
    running = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for command in commands
    ]
    costs = []
    for process in running:
        assert process.stderr is not None
        said = process.stderr.read()  # progress; it must be read before the process can end
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stderr.close()
        if process.returncode:
            sys.exit(f"{' '.join(commands[0][3:])}: {said.decode()[-500:]}")
        wall = time.perf_counter() - start
        costs.append(Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
    return time.perf_counter() - start, costs


def run_command(questions: Path, fake: FakeModel, folder: Path, concurrency: int, *more: str) -> list[str]:
    where = ["--model", "fake-model", "--base-url", fake.url, "-o", str(folder)]
    settings = ["--answers", "label", "--concurrency", str(concurrency), *more]
    return [*COMMAND, "run", "prompt", str(questions), *where, *settings]


def asking_seconds(folder: Path) -> float:
    return json.loads((folder / "run.json").read_text())["last_start"]["seconds"]


def make_questions(path: Path, n: int) -> Path:
    pert, gene = np.divmod(np.arange(n), 40)
    pairs = [f"Pert{i}" for i in pert], [f"Gene{i}" for i in gene]
    write_questions(path, Questions.from_pairs(*pairs))
    return path


def print_line(what: str, calls: int, asking: float, wall: float, costs: Sequence[Cost]) -> None:
    cpu = 1000 * sum(cost.cpu_s for cost in costs) / calls
    peak = max(cost.peak_mib for cost in costs)
    print(f"{what:<34}{calls:7,}{calls / asking:9.1f}{wall:12.1f}{cpu:12.1f}{peak:12,.0f}", flush=True)


def check(fake: FakeModel, calls: int) -> None:
    stats = fake.stats()
    assert stats["calls"] == stats["outcomes"]["answered"] == calls, stats["outcomes"]


def bench_speed(folder: Path, options: argparse.Namespace) -> None:
    """One process, then two shards of the same questions at once, merged."""
    n, calls = options.questions, SEEDS * options.questions
    questions = make_questions(folder / "questions.csv", n)
    with FakeModel(latency_ms=options.latency_ms) as fake:
        whole = folder / "whole"
        wall, costs = timed([run_command(questions, fake, whole, options.concurrency)])
        check(fake, calls)
        print_line("one process", calls, asking_seconds(whole), wall, costs)
    with FakeModel(latency_ms=options.latency_ms) as fake:
        parts = [folder / f"part{i}" for i in (1, 2)]
        commands = [
            run_command(questions, fake, part, options.concurrency, "--shard", f"{i}/2")
            for i, part in enumerate(parts, start=1)
        ]
        wall, shards = timed(commands)
        check(fake, calls)
        print_line("two shards at once", calls, max(map(asking_seconds, parts)), wall, shards)
    merge, _ = timed([[*COMMAND, "run", "merge", *map(str, parts), "-o", str(folder / "merged")]])
    same = (folder / "merged" / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    print(f"run merge: {merge:.1f} s; its predictions are {'those' if same else 'NOT those'} of the one process")
    small, large = max(cost.peak_mib for cost in shards), costs[0].peak_mib
    slope = (large - small) / (n - n / 2)
    print(
        f"peak memory: {small:,.0f} MiB for {n // 2:,} questions, {large:,.0f} MiB for {n:,}; "
        f"by that line {large + slope * (MANY - n):,.0f} MiB for {MANY:,} (extrapolated)"
    )


def bench_limited(folder: Path, options: argparse.Namespace) -> None:
    """A server that gives ``SERVER_LIMIT`` answers a second: how much the client adds."""
    calls = SEEDS * options.limited
    questions = make_questions(folder / "limited.csv", options.limited)
    with FakeModel(latency_ms=options.latency_ms, max_rate=SERVER_LIMIT) as fake:
        wall, costs = timed([run_command(questions, fake, folder / "limited", options.concurrency)])
        check(fake, calls)
    asking, floor = asking_seconds(folder / "limited"), calls / SERVER_LIMIT
    print_line(f"server limited to {SERVER_LIMIT:g} calls/s", calls, asking, wall, costs)
    over, total = asking / floor - 1, wall / floor - 1
    print(f"the server's own limit is {floor:.1f} s: asking takes {over:+.1%}, the whole command {total:+.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--limited", type=int, default=600, help="questions for the limited server")
    parser.add_argument("--latency-ms", type=float, default=50.0)
    parser.add_argument("--concurrency", type=int, default=200)
    parser.add_argument("--only", choices=("speed", "limited"))
    options = parser.parse_args()
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    print(f"{os.cpu_count()} cores, load average before the start {load}")
    print(f"the server answers in {options.latency_ms:g} ms; up to {options.concurrency} calls at once\n")
    print(f"{'':<34}{'calls':>7}{'calls/s':>9}{'end to end s':>14}{'CPU ms/call':>12}{'peak MiB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "limited":
            bench_speed(Path(folder), options)
        if options.only != "speed":
            bench_limited(Path(folder), options)


if __name__ == "__main__":
    main()
