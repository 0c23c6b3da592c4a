"""How often `compare` calls equals different, and how often it finds a difference of the size it says it can.

Run: python benchmarks/compare_calibration.py [--sets 500] [--seed 2028]

Two predictors answer the same simulated question sets. Six things have random effects of perturbations, of genes
and of rows: whether a row moves, which way, and either predictor's score for each. *Equals* have the same true
AUROCs, from how much their scores correlate with the truth over all; in one design they come by it in different
ways, A through genes and B through single rows. For power, B's correlation is raised until the true difference of
the score is what `compare` says, on average, that such a set can just detect (80 %).
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.evaluation.comparison import compare
from perturbarena.evaluation.files import Answered
from perturbarena.stats.auroc import auroc, rank
from perturbarena.stats.resampling import resample, two_way_variance

MOVED_ABOVE, UP_ABOVE = 0.14, -0.48
"""Thresholds that give the published shares: 45 % of rows move, 68 % of those go up."""
ALIKE = 0.6
"""Correlation of the two predictors' scores where they are alike in kind."""
N_RESAMPLES = 1000
TRUTH_ROWS = 500_000
MEASURES = ("score", "DE", "DIR")


class Skill(NamedTuple):
    """Correlation with the truth of a predictor's scores, in the effects of perturbations, genes and rows."""

    pert: float
    gene: float
    row: float


class Design(NamedTuple):
    """A question set's shape, the shares of variance of perturbations and genes, and the two predictors."""

    name: str
    perts: int
    genes: int
    rows: int
    pert_share: float
    gene_share: float
    a: Skill
    b: Skill
    alike: float = ALIKE

    @property
    def shares(self) -> tuple[float, float, float]:
        return self.pert_share, self.gene_share, 1 - self.pert_share - self.gene_share


SAME = Skill(0.5, 0.5, 0.5)
DESIGNS = (
    Design("published shape, genes matter most", 96, 640, 1813, 0.10, 0.35, SAME, SAME),
    Design("published shape, both matter", 96, 640, 1813, 0.30, 0.30, SAME, SAME),
    Design("published shape, hardly any effects", 96, 640, 1813, 0.02, 0.02, SAME, SAME),
    Design(
        "A knows genes, B knows rows", 96, 640, 1813, 0.10, 0.35,
        Skill(0.5, 0.80, 0.2182), Skill(0.5, 0.20, 0.6), alike=0.2,
    ),
    Design("small, genes matter most", 30, 150, 450, 0.10, 0.35, SAME, SAME),
)  # fmt: skip


def effects(rng: np.random.Generator, n: int, a: float, b: float, alike: float) -> np.ndarray:
    """n draws of (moved, up, DE of A, DE of B, DIR of A, DIR of B), each of variance 1; shape (n, 6)."""
    one = np.array([[1, a, b], [a, 1, alike], [b, alike, 1.0]])
    root = np.linalg.cholesky(one)
    de, direction = rng.standard_normal((n, 3)) @ root.T, rng.standard_normal((n, 3)) @ root.T
    return np.column_stack([de[:, 0], direction[:, 0], de[:, 1:], direction[:, 1:]])


def true_difference(design: Design, seed: int) -> float:
    """Of the score, from rows that share nothing."""
    rng = np.random.default_rng(seed)
    z = np.zeros((TRUTH_ROWS, 6))
    for share, a, b in zip(design.shares, design.a, design.b, strict=True):
        z += np.sqrt(share) * effects(rng, TRUTH_ROWS, a, b, design.alike)
    moved, up = z[:, 0] > MOVED_ABOVE, z[:, 1] > UP_ABOVE
    de = [auroc(moved, z[:, k]) for k in (2, 3)]
    direction = [auroc(up[moved], z[moved, k]) for k in (4, 5)]
    return 0.5 * (de[1] - de[0] + direction[1] - direction[0])


def question_set(rng: np.random.Generator, design: Design) -> Answered:
    """Perturbations with nearly equally many rows; genes with a long tail, as published. No pair stands twice."""
    popularity = rng.normal(size=design.genes)
    asked = rng.multinomial(design.rows, np.full(design.perts, 1 / design.perts))
    pert = np.repeat(np.arange(design.perts), asked)
    gene = np.concatenate(
        [np.argsort(popularity + rng.gumbel(size=design.genes))[design.genes - k :] for k in asked]
    )
    codes = (pert, gene, np.arange(len(pert)))
    sizes = (design.perts, design.genes, len(pert))
    z = np.zeros((len(pert), 6))
    for share, size, code, a, b in zip(design.shares, sizes, codes, design.a, design.b, strict=True):
        z += np.sqrt(share) * effects(rng, size, a, b, design.alike)[code]
    label = np.where(z[:, 0] <= MOVED_ABOVE, "none", np.where(z[:, 1] > UP_ABOVE, "up", "down")).astype(object)
    questions = Questions.from_pairs(pert.astype(str), gene.astype(str))
    answers = []
    for k in (0, 1):
        moves, up = (1 / (1 + np.exp(-z[:, i + k])) for i in (2, 4))
        answers.append(Predictions(questions.id, moves * up, moves * (1 - up)))
    return Answered(LabelledQuestions(questions, label), questions.gene, tuple(answers), ())


def p_of_rows(answered: Answered, rng: np.random.Generator) -> float:
    """p of the score's difference if rows were independent."""
    rows = [answered.rows(i) for i in (0, 1)]
    moved, up = answered.truth.is_de, answered.truth.is_up
    rankings = [f for r in rows for f in (rank(moved, r.de_score), rank(up, r.dir_score, among=moved))]
    found = resample(
        rankings, answered.truth.pert, answered.truth.gene, n_resamples=300, rng=rng, threads=1
    ).column((-0.5, -0.5, 0.5, 0.5))
    a, b, c, d = (ranking.value() for ranking in rankings)
    t = abs(c + d - a - b) / 2 / np.sqrt(two_way_variance(found).row)
    return float(2 * stdtr(found.n_row - 1, -t))


def one_set(rng: np.random.Generator, design: Design) -> np.ndarray:
    """By measure: difference, minimum detectable, and whether p, p of the exchange, p of rows are below 5 %."""
    answered = question_set(rng, design)
    (found,) = compare(answered, rng=rng, n_resamples=N_RESAMPLES)
    out = np.full((len(MEASURES), 6), np.nan)
    for i, name in enumerate(MEASURES):
        c = found.contrasts[name]
        d = c.difference
        out[i, :5] = d.difference, d.minimum_detectable, d.p < 0.05, c.p_swap < 0.05, "B is better" in c.verdict
    out[0, 5] = p_of_rows(answered, rng) < 0.05
    return out


def run(design: Design, sets: int, seed: list[int], threads: int) -> np.ndarray:
    streams = np.random.default_rng(seed).spawn(sets)
    with ThreadPoolExecutor(threads) as pool:
        return np.array(list(pool.map(one_set, streams, [design] * sets)))


def raised(design: Design, wanted: float, seed: int) -> Design:
    """The design with B's skill raised, alike at every level, until the true difference is ``wanted``."""
    low, high = 1.0, 1.9
    for _ in range(8):
        middle = 0.5 * (low + high)
        b = Skill(*(middle * s for s in design.a))
        low, high = (middle, high) if true_difference(design._replace(b=b), seed) < wanted else (low, middle)
    return design._replace(b=Skill(*(0.5 * (low + high) * s for s in design.a)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=500, help="question sets per design")
    parser.add_argument("--seed", type=int, default=2028)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--designs", type=int, default=len(DESIGNS), help="how many, from the first")
    args = parser.parse_args()
    start = time.perf_counter()
    print(f"{args.sets} question sets a line; seed {args.seed}; {N_RESAMPLES:,} resamples each way\n")
    heads = f"{'two-way':>9s}{'swap':>8s}{'rows':>8s}{'MDD':>9s}{'B better':>10s}"
    print(f"{'equals: share called different (5 % wanted)':46s}{heads}")
    for number, design in enumerate(DESIGNS[: args.designs]):
        found = run(design, args.sets, [args.seed, number], args.threads).mean(axis=0)
        print(f"{design.name}; true difference {true_difference(design, args.seed):+.4f}")
        for name, (_, mdd, two_way, swap, better, rows) in zip(MEASURES, found, strict=True):
            by_rows = "" if np.isnan(rows) else f"{100 * rows:.1f}%"
            print(
                f"  {name:44s}{100 * two_way:8.1f}%{100 * swap:7.1f}%{by_rows:>8s}{mdd:9.4f}{100 * better:9.1f}%",
                flush=True,
            )
        if design.alike == ALIKE:
            better_b = raised(design, found[0, 1], args.seed)
            power = run(better_b, args.sets, [args.seed, number, 1], args.threads).mean(axis=0)[0]
            print(
                f"  {'power at that score difference (80 % wanted)':44s}"
                f"{100 * power[2]:8.1f}%{100 * power[3]:7.1f}%"
                f"{'':8s}{power[1]:9.4f}{100 * power[4]:9.1f}%   mean difference {power[0]:.4f}",
                flush=True,
            )
    print(f"\n{time.perf_counter() - start:.0f} s on {args.threads} threads")


if __name__ == "__main__":
    main()
