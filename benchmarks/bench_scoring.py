"""Time of the two-way resampling beside scikit-learn's AUROC in a loop.

Run: python benchmarks/bench_scoring.py [--threads 2] [--loops 200]
The question set is the challenge's train.csv where PERTURBARENA_TEST_DATA points to it, else one of its shape.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from perturbarena.challenge.formats import read_labelled
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.stats.auroc import rank
from perturbarena.stats.resampling import resample

N_RESAMPLES = 2000
N_PERTS, N_GENES, N_ROWS = 386, 1570, 7705
REPEATS = 5
MANY_ROWS, MANY_PERTS, MANY_GENES = 100_000, 2_000, 8_000


def question_set(rng: np.random.Generator) -> tuple[str, LabelledQuestions]:
    path = Path(os.environ.get("PERTURBARENA_TEST_DATA", "../shared")) / "data" / "bioreasoning" / "train.csv"
    if path.is_file():
        return "the challenge's train.csv", read_labelled(path)
    popularity = np.exp(rng.normal(size=N_GENES))
    gene = rng.choice(N_GENES, size=N_ROWS, p=popularity / popularity.sum()).astype(str)
    pert = rng.integers(N_PERTS, size=N_ROWS).astype(str)
    label = rng.choice(["none", "up", "down"], size=N_ROWS, p=[0.55, 0.31, 0.14])
    ids = np.arange(N_ROWS).astype(str)
    return "simulated, same shape", LabelledQuestions(Questions(ids, pert, gene), label)


def seconds_of_resampling(truth: LabelledQuestions, de: np.ndarray, direction: np.ndarray, threads: int) -> float:
    start = time.perf_counter()
    stratum = np.unique(truth.gene.astype(str), return_inverse=True, return_counts=True)
    rankings = [
        rank(truth.is_de, de),
        rank(truth.is_up, direction, among=truth.is_de),
        rank(truth.is_de, de, group=stratum[2][stratum[1]], combine="rows"),
        rank(truth.is_de, de, group=truth.gene.astype(str)),
    ]
    resample(
        rankings,
        truth.pert.astype(str),
        truth.gene.astype(str),
        n_resamples=N_RESAMPLES,
        rng=np.random.default_rng(0),
        threads=threads,
    )
    return time.perf_counter() - start


def seconds_of_sklearn(truth: LabelledQuestions, de: np.ndarray, direction: np.ndarray, loops: int) -> float:
    """One way (genes), DE and DIR only: draw genes, gather their rows, call scikit-learn twice."""
    rng = np.random.default_rng(0)
    codes = np.unique(truth.gene.astype(str), return_inverse=True)[1]
    of_gene = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    moved, up = truth.is_de, truth.is_up
    start = time.perf_counter()
    for _ in range(loops):
        rows = np.concatenate([of_gene[g] for g in rng.integers(len(of_gene), size=len(of_gene))])
        roc_auc_score(moved[rows], de[rows])
        rows = rows[moved[rows]]
        roc_auc_score(up[rows], direction[rows])
    return time.perf_counter() - start


def seconds_of_many_rows(rng: np.random.Generator, threads: int) -> float:
    """As :func:`seconds_of_resampling`, on 100,000 rows of 2,000 perturbations and 8,000 genes."""
    popularity = np.exp(rng.normal(size=MANY_GENES))
    gene = rng.choice(MANY_GENES, size=MANY_ROWS, p=popularity / popularity.sum()).astype(str)
    pert = rng.integers(MANY_PERTS, size=MANY_ROWS).astype(str)
    label = rng.choice(["none", "up", "down"], size=MANY_ROWS, p=[0.55, 0.31, 0.14])
    truth = LabelledQuestions(Questions(np.arange(MANY_ROWS).astype(str), pert, gene), label)
    return seconds_of_resampling(truth, rng.random(MANY_ROWS), rng.random(MANY_ROWS), threads)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--loops", type=int, default=200, help="scikit-learn resamples that are timed")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    what, truth = question_set(rng)
    de, direction = rng.random(len(truth)) + 0.1 * truth.is_de, rng.random(len(truth)) + 0.1 * truth.is_up
    first = seconds_of_resampling(truth, de, direction, args.threads)
    ours = sorted(seconds_of_resampling(truth, de, direction, args.threads) for _ in range(REPEATS))[REPEATS // 2]
    loop = seconds_of_sklearn(truth, de, direction, args.loops)
    one_way = loop * N_RESAMPLES / args.loops
    print(f"{len(truth):,} rows ({what}), {N_RESAMPLES:,} resamples each way, {args.threads} threads")
    print(f"first call, with loading or compiling the kernel: {first:.2f} s\n")
    print(f"{'what':64s}{'s':>8s}{'ratio':>9s}")
    print(f"{'perturbarena: 3 ways; DE, DIR, score, within strata, within genes':64s}{ours:8.2f}{1:9.1f}")
    note = f"scikit-learn loop: 1 way; DE, DIR (from {args.loops} loops)"
    print(f"{note:64s}{one_way:8.2f}{one_way / ours:9.1f}")
    three_ways = 3 * one_way
    print(
        f"{'scikit-learn loop: 3 ways; DE, DIR (3 × the line above)':64s}{three_ways:8.2f}{three_ways / ours:9.1f}"
    )
    many = seconds_of_many_rows(rng, args.threads)
    print(f"\n{MANY_ROWS:,} rows, the same measures and resamples: {many:.2f} s")


if __name__ == "__main__":
    main()
