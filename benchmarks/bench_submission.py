"""Times of packing and checking submissions: real ones where they are at hand, and made-up large ones.

    .venv/bin/python benchmarks/bench_submission.py

Real data is read from PERTURBARENA_TEST_DATA (default ``../shared`` beside the repository).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from perturbarena.challenge.describe import sample_table
from perturbarena.challenge.formats import read_questions, write_questions, write_table
from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.submission import check_submission, pack

SHARED = Path(os.environ.get("PERTURBARENA_TEST_DATA", Path(__file__).resolve().parents[2] / "shared"))
CHALLENGE = load_challenge("bioreasoning-2026")
WORDS = ["gene", "macrophage", "upregulated", "interferon", "loss", "of", "the", "pathway", "LPS", "therefore"]


def large_table(path: Path, questions: Questions, *, chars: int) -> None:
    """Track B answers with traces of about ``chars`` characters each."""
    rng = np.random.default_rng(1)
    table = sample_table(CHALLENGE, CHALLENGE.track("B"), questions)
    words = np.array(WORDS)
    table["reasoning_trace"] = [" ".join(rng.choice(words, chars // 7)) + f" {i}" for i in range(len(questions))]
    table["tokens_used"] = chars // 4
    write_table(path, table)


def measure(name: str, table: Path, questions: Path, track: str, folder: Path) -> None:
    prompt, tools, out = folder / "prompt.txt", folder / "tools", folder / "s.zip"
    asked = read_questions(questions)
    start = time.perf_counter()
    pack(table, out, challenge=CHALLENGE, track=track, prompt=prompt, tools=tools if track == "B" else None)
    packing = time.perf_counter() - start
    times = []
    for _ in range(3):
        start = time.perf_counter()
        report = check_submission(out, challenge=CHALLENGE, track=track, questions=asked)
        times.append(time.perf_counter() - start)
    argv = [str(Path(sys.executable).with_name("perturbarena")), "submit", "check", str(out), "--track", track]
    start = time.perf_counter()
    subprocess.run([*argv, "--questions", str(questions), "--json"], check=True, capture_output=True)
    command = time.perf_counter() - start
    print(
        f"| {name} | {report.n_rows:,} | {out.stat().st_size / 2**20:.1f} | {packing:.2f} | {min(times):.2f} "
        f"| {command:.2f} | {len(report.problems)} |"
    )


def main() -> None:
    print("| submission | rows | zip, MiB | pack, s | check, s | `submit check`, s | findings |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "prompt.txt").write_text("Does the gene go up, down, or stay?")
        (folder / "tools").mkdir()
        (folder / "tools" / "t.py").write_text("x = 1\n")
        real = SHARED / "data" / "bioreasoning" / "test.csv"
        for track in "ABC" if real.exists() else "":
            table = SHARED / "data" / "llm_outputs" / f"kit_track_{track.lower()}_test.csv.gz"
            measure(f"published output, track {track}", table, real, track, folder)
        for rows, chars in ((1_813, 100_000), (200_000, 1_000)):
            questions = Questions.from_pairs([f"P{i // 100}" for i in range(rows)], [f"G{i}" for i in range(rows)])
            write_questions(folder / "q.csv", questions)
            large_table(folder / "t.csv", questions, chars=chars)
            size = (folder / "t.csv").stat().st_size / 2**20
            measure(f"made up, {size:.0f} MiB of traces", folder / "t.csv", folder / "q.csv", "B", folder)


if __name__ == "__main__":
    main()
