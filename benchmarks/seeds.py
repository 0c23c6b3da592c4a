"""What three seeds buy: agreement, spread and score of recorded outputs, one seed against the mean of several.

Run: python benchmarks/seeds.py RECORDED.csv.gz [--labels LABELS.csv] [--resamples 2000]

RECORDED has a row a question, with ``prediction_up_seed{n}``, ``prediction_down_seed{n}`` and
``reasoning_trace_seed{n}``. Answers are read in two ways: the recorded probabilities, and the letter in the trace
as 0 or 1. Scores need LABELS (``id,pert,gene,label``). Every difference is paired: the same resamples of
perturbations, genes and rows on both sides, so its interval is far narrower than those of the two scores.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import stdtrit
from scipy.stats import chi2, spearmanr

from perturbarena.challenge.formats import labelled_from_table, numbers, read_table
from perturbarena.challenge.records import LABELS, LabelledQuestions
from perturbarena.evaluation.reference import direction_strict
from perturbarena.stats.auroc import rank
from perturbarena.stats.resampling import Replicates, auroc_interval, resample, two_way_variance
from perturbarena.tracks import parse_answers

SEED = 2026
"""Of the resamples."""
WORDS = 3
"""Of a trace that count as its opening."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What s seeds said to n questions: probabilities of up and down, labels, first words; each (s, n)."""

    seeds: tuple[int, ...]
    p_up: np.ndarray
    p_down: np.ndarray
    label: np.ndarray
    opening: np.ndarray

    def hard(self) -> Outputs:
        """The same answers as 0 and 1."""
        up, down = ((self.label == name).astype(float) for name in ("up", "down"))
        return Outputs(self.seeds, up, down, self.label, self.opening)


@dataclass(frozen=True, slots=True)
class Scored:
    """A combination of seeds: its measures (score, DE, DIR), and the columns of their rankings."""

    seeds: tuple[int, ...]
    value: tuple[float, float, float]
    weights: tuple[np.ndarray, np.ndarray, np.ndarray]


def read_outputs(table: pd.DataFrame, path: Path) -> Outputs:
    seeds = tuple(sorted(int(m[1]) for name in table if (m := re.fullmatch(r"reasoning_trace_seed(\d+)", name))))
    up, down = (
        np.array([numbers(table[f"prediction_{way}_seed{s}"], f"seed {s}", source=path) for s in seeds])
        for way in ("up", "down")
    )
    label = np.array([[a.label for a in parse_answers(table[f"reasoning_trace_seed{s}"])] for s in seeds])
    opening = [[" ".join(text.split()[:WORDS]) for text in table[f"reasoning_trace_seed{s}"]] for s in seeds]
    return Outputs(seeds, up, down, label, np.array(opening, object))


def print_agreement(out: Outputs) -> None:
    n = out.label.shape[1]
    shares = np.array([[(row == name).mean() for name in LABELS] for row in out.label])
    print("\nanswers by seed  " + "".join(f"{name:>8}" for name in LABELS) + "   commonest opening")
    for seed, row, opening in zip(out.seeds, shares, out.opening, strict=True):
        (words, count), *_ = Counter(opening).most_common(1)
        print(f"  seed {seed:<10}" + "".join(f"{x:8.1%}" for x in row) + f"   {words!r} {count / n:.1%}")
    print(f"  seeds are alike in how often they say none: p = {_cochran(out.label == 'none'):.1g} (Cochran's Q)")
    pairs = list(combinations(range(len(out.seeds)), 2))
    agree = np.mean([(out.label[i] == out.label[j]).mean() for i, j in pairs])
    chance = np.mean([shares[i] @ shares[j] for i, j in pairs])
    different = np.array([len(set(column)) for column in out.label.T])
    print(f"\ntwo seeds give the same answer        {agree:6.1%}   by chance {chance:.1%}, kappa ", end="")
    print(f"{(agree - chance) / (1 - chance):.2f}")
    for k, what in ((1, "all three the same"), (2, "two the same"), (3, "all three different")):
        print(f"{what:<38}{(different == k).sum() / n:6.1%}")
    top = np.max([out.p_up, out.p_down, 1 - out.p_up - out.p_down], axis=0)
    print(f"{'calls whose top option has p < 0.99':<38}{(top < 0.99).sum():6} of {top.size:,}")
    for name, values in _scores(out).items():
        rho = np.mean([spearmanr(values[i], values[j])[0] for i, j in pairs])
        print(f"rank correlation of two seeds, {name:<7}{rho:6.2f}")


def _cochran(said: np.ndarray) -> float:
    """p of Cochran's Q (doi:10.1093/biomet/37.3-4.256), s × n answers yes or no, questions as if independent."""
    s, by_seed, by_question = len(said), said.sum(axis=1), said.sum(axis=0)
    q = (s - 1) * (s * (by_seed**2).sum() - by_seed.sum() ** 2) / (s * by_question.sum() - (by_question**2).sum())
    return float(chi2.sf(q, s - 1))


def _scores(out: Outputs) -> dict[str, np.ndarray]:
    return {"DE": out.p_up + out.p_down, "DIR": direction_strict(out.p_up, out.p_down)}


def print_spread(out: Outputs) -> None:
    """One-way analysis of variance: questions are groups, seeds are the draws within them.

    ``within`` is the mean square within questions, ``between`` (mean square between − within) / s; a mean of k
    seeds has the share between / (between + within / k) of its variance from the questions.
    """
    print("\nvariance of         between questions   within (seeds)   questions' share: 1 seed   3 seeds")
    for way, used in (("probabilities", out), ("letters", out.hard())):
        for name, values in _scores(used).items():
            s = len(values)
            within = values.var(axis=0, ddof=1).mean()
            between = values.mean(axis=0).var(ddof=1) - within / s
            share = [between / (between + within / k) for k in (1, 3)]
            print(f"  {way:<14}{name:<4}{between:14.4f}{within:19.4f}{share[0]:22.2f}{share[1]:12.2f}")


def score_all(out: Outputs, truth: LabelledQuestions) -> tuple[list[Scored], list]:
    """Every combination of seeds scored; the rankings in order, DE then DIR for each combination."""
    moved, up = truth.label != "none", truth.label == "up"
    scored, rankings = [], []
    chosen = [c for k in range(1, len(out.seeds) + 1) for c in combinations(range(len(out.seeds)), k)]
    for c in chosen:
        p_up, p_down = out.p_up[list(c)].mean(axis=0), out.p_down[list(c)].mean(axis=0)
        de, direction = rank(moved, p_up + p_down), rank(up, direction_strict(p_up, p_down), among=moved)
        at = len(rankings)
        rankings += [de, direction]
        weights = np.zeros((3, 2 * len(chosen)))
        weights[0, at : at + 2], weights[1, at], weights[2, at + 1] = 0.5, 1.0, 1.0
        a, b = de.value(), direction.value()
        scored.append(Scored(tuple(out.seeds[i] for i in c), ((a + b) / 2, a, b), tuple(weights)))
    return scored, rankings


def print_scores(out: Outputs, truth: LabelledQuestions, n_resamples: int) -> None:
    scored, rankings = score_all(out, truth)
    rng = np.random.default_rng(SEED)
    found = resample(rankings, truth.pert, truth.gene, n_resamples=n_resamples, rng=rng)
    df = min(found.n_pert, found.n_gene) - 1
    print(f"  {'seeds':<14}{'score':>7}  95 % interval       DE     DIR")
    for s in scored:
        interval = auroc_interval(s.value[0], two_way_variance(found.column(s.weights[0])).total, df)
        bounds = f"{interval.low:.3f} … {interval.high:.3f}" if interval else "undefined"
        name = " ".join(map(str, s.seeds))
        print(f"  {name:<14}{s.value[0]:7.4f}  {bounds}  {s.value[1]:7.4f} {s.value[2]:7.4f}")
    print("\n  paired difference, with its 95 % interval")
    by_k = [[s for s in scored if len(s.seeds) == k] for k in (1, 2, 3)]
    for name, more, fewer in (
        ("mean of 3 − a single seed", by_k[2], by_k[0]),
        ("mean of 2 − a single seed", by_k[1], by_k[0]),
        ("mean of 3 − mean of 2", by_k[2], by_k[1]),
    ):
        print(f"  {name:<28}" + "   ".join(_difference(found, more, fewer, k, df) for k in range(3)))
    spread = np.std([s.value[0] for s in by_k[0]], ddof=1)
    by_questions = np.sqrt(two_way_variance(found.column(scored[0].weights[0])).total)
    print(f"\n  standard deviation of a single seed's score: over seeds {spread:.4f}, ", end="")
    print(f"over perturbations and genes {by_questions:.4f}")


def _difference(found: Replicates, more: Sequence[Scored], fewer: Sequence[Scored], k: int, df: int) -> str:
    """Mean of one side less mean of the other."""
    weights = np.mean([s.weights[k] for s in more], axis=0) - np.mean([s.weights[k] for s in fewer], axis=0)
    value = np.mean([s.value[k] for s in more]) - np.mean([s.value[k] for s in fewer])
    half = stdtrit(df, 0.975) * np.sqrt(two_way_variance(found.column(list(weights))).total)
    return f"{('score', 'DE', 'DIR')[k]} {value:+.4f} ({value - half:+.4f} … {value + half:+.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recorded", type=Path)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--resamples", type=int, default=2000)
    options = parser.parse_args()
    table = read_table(options.recorded, required=("id",))
    out = read_outputs(table, options.recorded)
    unread = int((out.label == "").sum())
    print(f"{options.recorded.name}: {len(table):,} questions, seeds {out.seeds}, {unread} answers unread")
    print_agreement(out)
    print_spread(out)
    if options.labels is None:
        return
    labels = labelled_from_table(read_table(options.labels, required=("id", "label")), source=options.labels)
    position = {id_: i for i, id_ in enumerate(labels.id)}
    truth = labels.take(np.array([position[id_] for id_ in table["id"]]))
    for way, used in (("recorded probabilities", out), ("letters as 0 and 1", out.hard())):
        print(f"\nscores, {way}")
        print_scores(used, truth, options.resamples)


if __name__ == "__main__":
    main()
