"""How often the 95 % interval holds the true AUROC, on simulated question sets with shared effects.

Run: python benchmarks/interval_coverage.py [--sets 500] [--seed 2027] [--quick] [--further]

Every perturbation and every gene has random effects on four things that correlate with one another: whether a row
moves, which way, and the model's score for each. The truth is the AUROC of rows that share nothing, from
6 million of them; a question set shows a few thousand rows that do. Beside the two-way interval stand the one-way
ones, built in the same way from one of its three variances. DE within genes has its own truth: rows of one gene
that share nothing else. With ``--further`` it is the measures of ``score --full``; most of them depend on how many
rows a perturbation or gene has, so their truth is the mean over 2,000 other sets, and for the calibration errors,
which in a sample are too large, that of a million rows.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from perturbarena.challenge.records import Predictions
from perturbarena.evaluation.detail import Detail, detail
from perturbarena.evaluation.metric import ScoredRows
from perturbarena.stats.auroc import Ranking, rank
from perturbarena.stats.resampling import auroc_interval, resample, two_way_variance

EFFECT_CORRELATION = np.array(
    [[1.0, 0.2, 0.5, 0.1], [0.2, 1.0, 0.1, 0.5], [0.5, 0.1, 1.0, 0.2], [0.1, 0.5, 0.2, 1.0]]
)
"""Correlation of moved, up, DE score and DIR score, at every level."""
MOVED_ABOVE, UP_ABOVE = 0.14, -0.48
"""Thresholds that give the published shares: 45 % of rows move, 68 % of those go up."""
TRUTH_ROWS, TRUTH_CHUNKS = 1_000_000, 6
"""Standard error of the truth: about 0.0002, a hundredth of an interval's standard deviation."""
N_RESAMPLES = 1000
MEASURES = {"DE": (1, 0, 0), "DIR": (0, 1, 0), "score": (0.5, 0.5, 0), "DE within genes": (0, 0, 1)}


class Design(NamedTuple):
    """Shape of a question set, and the shares of variance that perturbations and genes hold."""

    name: str
    perts: int
    genes: int
    rows: int
    pert_share: float
    gene_share: float
    times: int = 1
    """How many times as many sets are drawn: small ones cost little."""


DESIGNS = (
    Design("published shape, genes matter most", 96, 640, 1813, 0.10, 0.35),
    Design("published shape, both matter", 96, 640, 1813, 0.30, 0.30),
    Design("published shape, hardly any effects", 96, 640, 1813, 0.02, 0.02),
    Design("small, genes matter most", 30, 150, 450, 0.10, 0.35, times=4),
)


class Rows(NamedTuple):
    moved: np.ndarray
    up: np.ndarray
    de_score: np.ndarray
    dir_score: np.ndarray


def effects(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_normal((n, 4)) @ np.linalg.cholesky(EFFECT_CORRELATION).T


def rows_of(rng: np.random.Generator, design: Design, of_pert: np.ndarray, of_gene: np.ndarray) -> Rows:
    own = 1 - design.pert_share - design.gene_share
    z = np.sqrt(design.pert_share) * of_pert + np.sqrt(design.gene_share) * of_gene
    z += np.sqrt(own) * effects(rng, len(z))
    return Rows(z[:, 0] > MOVED_ABOVE, z[:, 1] > UP_ABOVE, z[:, 2], z[:, 3])


def rankings(rows: Rows, gene: np.ndarray) -> list[Ranking]:
    return [
        rank(rows.moved, rows.de_score),
        rank(rows.up, rows.dir_score, among=rows.moved),
        rank(rows.moved, rows.de_score, group=gene),
    ]


def aurocs(rows: Rows, gene: np.ndarray) -> np.ndarray:
    return np.array([r.value() for r in rankings(rows, gene)])


def true_aurocs(design: Design, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chunks = []
    for _ in range(TRUTH_CHUNKS):
        first, second = effects(rng, TRUTH_ROWS), effects(rng, TRUTH_ROWS)
        free = rows_of(rng, design, effects(rng, TRUTH_ROWS), first)
        pair = rows_of(rng, design, effects(rng, TRUTH_ROWS), second)
        again = rows_of(rng, design, effects(rng, TRUTH_ROWS), second)
        gene = np.arange(TRUTH_ROWS)
        both = Rows(*(np.concatenate(columns) for columns in zip(pair, again, strict=True)))
        within = rank(both.moved, both.de_score, group=np.concatenate([gene, gene])).value()
        chunks.append([*aurocs(free, gene)[:2], within])
    return np.mean(chunks, axis=0)


def question_set(rng: np.random.Generator, design: Design) -> tuple[np.ndarray, np.ndarray, Rows]:
    """Perturbations with nearly equally many rows; genes with a long tail, as published. No pair stands twice."""
    popularity = rng.normal(size=design.genes)
    asked = rng.multinomial(design.rows, np.full(design.perts, 1 / design.perts))
    pert = np.repeat(np.arange(design.perts), asked)
    gene = np.concatenate(
        [np.argsort(popularity + rng.gumbel(size=design.genes))[design.genes - k :] for k in asked]
    )
    of_pert, of_gene = effects(rng, design.perts), effects(rng, design.genes)
    return pert, gene, rows_of(rng, design, of_pert[pert], of_gene[gene])


def holds(rng: np.random.Generator, design: Design, truth: np.ndarray) -> np.ndarray:
    """Whether each interval holds the truth, shape (4 measures, 4 kinds of interval); and its width."""
    pert, gene, rows = question_set(rng, design)
    sorted_rows = rankings(rows, gene)
    point = np.array([r.value() for r in sorted_rows])
    replicates = resample(sorted_rows, pert, gene, n_resamples=N_RESAMPLES, rng=rng, threads=1)
    df = min(replicates.n_pert, replicates.n_gene) - 1
    out = np.zeros((len(MEASURES), 5))
    for i, weights in enumerate(MEASURES.values()):
        v = two_way_variance(replicates.column(weights))
        for j, variance in enumerate((v.total, v.row, v.pert, v.gene)):
            interval = auroc_interval(float(point @ weights), variance, df)
            if interval is None:
                raise RuntimeError(f"no interval for {design.name}; every simulated set has both classes")
            out[i, j] = interval.low <= truth @ weights <= interval.high
            if j == 0:
                out[i, 4] = interval.high - interval.low
    return out


def scored(rows: Rows, pert: np.ndarray, gene: np.ndarray) -> tuple[ScoredRows, Predictions]:
    """Scores as probabilities, too sure of themselves."""
    moves, up = 1 / (1 + np.exp(-2 * rows.de_score)), 1 / (1 + np.exp(-2 * rows.dir_score))
    label = np.where(~rows.moved, "none", np.where(rows.up, "up", "down")).astype(object)
    answers = Predictions(np.arange(len(label)).astype(str), moves * up, moves * (1 - up))
    return ScoredRows(label, answers.p_up + answers.p_down, up, pert, gene, None), answers


def further_of(rng: np.random.Generator, design: Design, n_resamples: int) -> Detail:
    pert, gene, rows = question_set(rng, design)
    return detail(*scored(rows, pert, gene), rng=rng, n_resamples=n_resamples)


def further(design: Design, sets: int, seed: int, threads: int) -> None:
    truth_rng, big_rng, *streams = np.random.default_rng([seed, 7]).spawn(2 + sets)
    others = [further_of(rng, design, 0).measures for rng in truth_rng.spawn(2000)]
    big = rows_of(big_rng, design, effects(big_rng, TRUTH_ROWS), effects(big_rng, TRUTH_ROWS))
    free = detail(*scored(big, np.arange(TRUTH_ROWS), np.arange(TRUTH_ROWS)), rng=big_rng, n_resamples=0).measures
    with ThreadPoolExecutor(threads) as pool:
        found = [d.measures for d in pool.map(lambda rng: further_of(rng, design, N_RESAMPLES), streams)]
    print(f"{design.name} ({design.perts} × {design.genes}, {design.rows:,} rows; {sets:,} sets)")
    for name in free:
        own = [o[name].value for o in others]
        truth = free[name].value if "calibration" in name else np.nanmean(own)
        intervals = [f[name].interval for f in found]
        given = [i for i in intervals if i is not None]
        low, high = np.array(given).T
        held, width = np.mean((low <= truth) & (truth <= high)), np.mean(high - low)
        print(f"  {name:36s}{truth:7.3f}{width:8.3f}{100 * held:8.1f}%   {sets - len(given)} without", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=500, help="question sets per design")
    parser.add_argument("--seed", type=int, default=2027)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="the first design only")
    parser.add_argument("--further", action="store_true", help="the measures of score --full")
    args = parser.parse_args()
    start = time.perf_counter()
    if args.further:
        for design in (DESIGNS[0], DESIGNS[-1]):
            further(design, args.sets, args.seed, args.threads)
        print(f"\n{time.perf_counter() - start:.0f} s on {args.threads} threads")
        return
    print(f"Share of simulated question sets whose 95 % interval holds the truth; seed {args.seed}\n")
    print(f"{'':38s}{'true':>7s}{'width':>8s}{'two-way':>9s}{'rows':>7s}{'perts':>7s}{'genes':>7s}")
    for number, design in enumerate(DESIGNS[:1] if args.quick else DESIGNS):
        truth = true_aurocs(design, args.seed + number)
        n_sets = args.sets * design.times
        streams = np.random.default_rng([args.seed, number]).spawn(n_sets)
        with ThreadPoolExecutor(args.threads) as pool:
            found = np.mean(list(pool.map(holds, streams, [design] * n_sets, [truth] * n_sets)), axis=0)
        print(f"{design.name} ({design.perts} × {design.genes}, {design.rows:,} rows; {n_sets:,} sets)")
        for (name, weights), (two_way, row, pert, gene, width) in zip(MEASURES.items(), found, strict=True):
            cells = "".join(f"{100 * x:6.1f}%" for x in (row, pert, gene))
            print(f"  {name:36s}{truth @ np.array(weights):7.3f}{width:8.3f}{100 * two_way:8.1f}%{cells}")
    print(f"\n{time.perf_counter() - start:.0f} s on {args.threads} threads")


if __name__ == "__main__":
    main()
