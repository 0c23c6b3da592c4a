"""How long ``report`` takes and how large its page is, on a simulated run of the published size with traces.

Run: python benchmarks/bench_report.py [--questions 1813] [--trace-chars 4000] [--runs 1]

Each run has three seeds a question; a trace is words of about the length that GPT-OSS-120B writes. The command is
timed as a process of its own, start-up and figures included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from perturbarena.challenge.formats import write_json, write_labelled, write_predictions
from perturbarena.challenge.records import LABELS, LabelledQuestions, Predictions, Questions
from perturbarena.tracks.running.folder import FORMAT_VERSION, RunFolder

SEEDS = (42, 43, 44)
GENES = 700
"""Target genes; the published hidden rows have about as many."""
PER_PERT = 20
SHARES = (0.3, 0.15, 0.55)
"""Of up, down and none."""
WORDS = ("the", "gene", "may", "rise", "as", "its", "repressor", "falls", "but", "no", "change", "is", "likely")
COMMAND = [sys.executable, "-c", "from perturbarena.cli import main; main()"]


def make_truth(n: int, rng: np.random.Generator) -> LabelledQuestions:
    popular = 1 / np.arange(1, GENES + 1)
    pert = [f"Pert{i // PER_PERT}" for i in range(n)]
    gene = [
        f"Gene{g}"
        for start in range(0, n, PER_PERT)
        for g in rng.choice(GENES, min(PER_PERT, n - start), replace=False, p=popular / popular.sum())
    ]
    return LabelledQuestions(Questions.from_pairs(pert, gene), rng.choice(np.array(LABELS, object), n, p=SHARES))


def write_run(path: Path, truth: LabelledQuestions, chars: int, rng: np.random.Generator) -> None:
    """A run folder as ``run prompt`` leaves it."""
    folder = RunFolder(path)
    means = []
    with folder.open({"model": "simulated"}):
        for question in truth.questions:
            calls = [_call(seed, chars, rng) for seed in SEEDS]
            means.append([np.mean([c[way] for c in calls]) for way in ("p_up", "p_down")])
            folder.append(
                {
                    "id": question.id,
                    "pert": question.pert,
                    "gene": question.gene,
                    "prompt": "?" * 900,
                    "calls": calls,
                }
            )
    p_up, p_down = np.array(means).T
    write_predictions(folder.predictions, Predictions(truth.id, p_up, p_down))
    settings = {"track": "A", "answers": "stated", "seeds": list(SEEDS)}
    write_json(folder.manifest, {"format_version": FORMAT_VERSION, "kind": "prompt", "settings": settings})


def _call(seed: int, chars: int, rng: np.random.Generator) -> dict:
    p_up, p_down, _ = rng.dirichlet([0.4, 0.3, 0.6])
    words = rng.choice(WORDS, chars // 5)
    tokens = len(words) * 4 // 3
    return {
        "seed": seed, "answered": True, "label": "none", "p_up": p_up, "p_down": p_down, "how": "stated",
        "reasoning": " ".join(words), "content": "<answer>C</answer>", "stop_reason": "stop", "prompt_tokens": 160,
        "output_tokens": tokens, "total_tokens": 160 + tokens, "rejected": [], "failures": [], "seconds": 1.0,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=1813)
    parser.add_argument("--trace-chars", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work, rng = Path(name), np.random.default_rng(0)
        truth = make_truth(options.questions, rng)
        write_labelled(work / "truth.csv", truth)
        runs = [work / f"run{i}" for i in range(options.runs)]
        for run in runs:
            write_run(run, truth, options.trace_chars, rng)
        size = sum(f.stat().st_size for run in runs for f in run.rglob("*") if f.is_file())
        asked = f"{options.questions:,} questions, {len(SEEDS)} seeds"
        asked = f"{options.questions:,} questions, {len(SEEDS)} seeds"
        print(f"{options.runs} run(s), {asked}: {size / 1e6:.1f} MB on disk")
        page = work / "report.html"
        start = time.perf_counter()
        process = subprocess.Popen(
            [*COMMAND, "report", *map(str, runs), "--truth", str(work / "truth.csv"), "-o", str(page)]
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, "report failed"
        cpu, peak = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
        print(f"report: {wall:.1f} s ({cpu:.1f} s of processor time), {peak:,.0f} MiB at most, ", end="")
        print(f"page of {page.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
