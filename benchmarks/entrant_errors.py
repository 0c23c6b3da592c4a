"""How alike the errors of real answers are, by perturbation, by gene, and between entrants.

Run: python benchmarks/entrant_errors.py --questions train.csv --labels LABELS.csv ANSWERS.csv
     python benchmarks/entrant_errors.py --questions test.csv ANSWERS.csv ANSWERS.csv ...

The defaults of `perturbarena benchmark power` are rounded from these figures. An error is a score less the mean
score of its class (of all rows where labels are not known). Its covariance over pairs of different rows of one
perturbation is the perturbation's share, likewise for genes; the rest is a row's own. With one file of three seeds
the seeds are compared with each other, with several files the files' final answers. Where labels are known, the
standard deviation of the seeds' paired differences stands beside what the model gives with these shares.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perturbarena.benchmark.entrants import EntrantModel, Pair, simulate_pair
from perturbarena.benchmark.power import paired_differences
from perturbarena.challenge.formats import numbers, read_labelled, read_questions, read_table
from perturbarena.challenge.records import LabelledQuestions, Questions

SEEDS = (42, 43, 44)


class Parts(NamedTuple):
    pert: float
    gene: float
    own: float


def parts(a: np.ndarray, b: np.ndarray, rows: Questions) -> Parts:
    """Covariance of two entrants' errors: what a perturbation's rows share, what a gene's rows share, the rest."""

    def shared(names: np.ndarray) -> float:
        code = np.unique(names.astype(str), return_inverse=True)[1]
        n = np.bincount(code)
        same_row = float(a @ b)
        return float((np.bincount(code, a) @ np.bincount(code, b) - same_row) / (n * (n - 1)).sum())

    pert, gene = shared(rows.pert), shared(rows.gene)
    return Parts(pert, gene, float(np.mean(a * b)) - pert - gene)


def report(title: str, errors: dict[str, np.ndarray], rows: Questions) -> None:
    print(f"{title}, {len(rows):,} rows\n  {'':24s}{'pert':>7s}{'gene':>7s}{'own':>7s}{'total':>7s}")
    alone = {name: parts(error, error, rows) for name, error in errors.items()}
    for name, part in alone.items():
        shares = np.array(part) / sum(part)
        print(f"  share {name:18s}" + "".join(f"{x:7.2f}" for x in shares))
    for one, two in itertools.combinations(errors, 2):
        both = parts(errors[one], errors[two], rows)
        scale = np.sqrt(np.abs(np.multiply(alone[one], alone[two])))
        total = sum(both) / np.sqrt(sum(alone[one]) * sum(alone[two]))
        of = f"{one}, {two}"
        print(f"  correlation {of:12s}" + "".join(f"{x:7.2f}" for x in [*np.array(both) / scale, total]))


def scores(path: Path, suffix: str, rows: Questions) -> tuple[np.ndarray, np.ndarray]:
    table = read_table(path, required=("id",)).set_index("id").loc[list(rows.id)]
    up, down = (numbers(table[f"prediction_{way}{suffix}"], way, source=path) for way in ("up", "down"))
    moved = up + down
    return moved, np.divide(up, moved, out=np.full(len(up), 0.5), where=moved > 0)


def errors_of(score: np.ndarray, positive: np.ndarray | None) -> np.ndarray:
    if positive is None:
        return score - score.mean()
    return score - np.where(positive, score[positive].mean(), score[~positive].mean())


def model_of(one: np.ndarray, two: np.ndarray, rows: Questions, auroc: float) -> EntrantModel:
    alone = [parts(error, error, rows) for error in (one, two)]
    shares = np.mean([np.array(part) / sum(part) for part in alone], axis=0)
    both = np.array(parts(one, two, rows)) / np.sqrt(np.abs(np.multiply(*alone)))
    both = np.clip(both, 0, 1)
    return EntrantModel(
        auroc=auroc, pert_share=shares[0], gene_share=shares[1],
        pert_correlation=both[0], gene_correlation=both[1], row_correlation=both[2],
    )  # fmt: skip


def compare(answers: dict[str, tuple[np.ndarray, np.ndarray]], labels: LabelledQuestions) -> None:
    """SD of real paired differences, and of the model's with the same shares and correlations."""
    rng, label = np.random.default_rng(0), labels.label
    pert, gene = (np.unique(names.astype(str), return_inverse=True)[1] for names in (labels.pert, labels.gene))
    moved = labels.is_de
    print(f"SD of a paired difference  {'DE':>8s}{'model':>8s}{'DIR':>8s}{'model':>8s}")
    for one, two in itertools.combinations([name for name in answers if name != "mean"], 2):
        (de, way), (de_2, way_2) = answers[one], answers[two]
        real = Pair(np.column_stack([de, de_2]), np.column_stack([way, way_2]))
        found = paired_differences(real, pert, gene, label, n_resamples=2000, rng=rng)
        of_de = model_of(errors_of(de, moved), errors_of(de_2, moved), labels.questions, 0.57)
        up = labels.is_up[moved]
        errors = (errors_of(score[moved], up) for score in (way, way_2))
        of_way = model_of(*errors, labels.questions.take(moved), 0.58)
        line = f"{one}, {two}".ljust(27)
        for name, model in (("de_auroc", of_de), ("dir_auroc", of_way)):
            pairs = [simulate_pair(rng, model, pert, gene, label) for _ in range(30)]
            drawn = [paired_differences(pair, pert, gene, label, n_resamples=400, rng=rng)[name] for pair in pairs]
            sd = np.sqrt([found[name].variance, np.mean([d.variance for d in drawn])])
            line += "".join(f"{x:8.4f}" for x in sd)
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("answers", type=Path, nargs="+")
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--labels", type=Path)
    args = parser.parse_args()
    asked = read_questions(args.questions)
    labels: LabelledQuestions | None = None
    if args.labels is not None:
        labels = read_labelled(args.labels, questions=asked)
        asked = labels.questions
    if len(args.answers) == 1:
        found = {f"seed {seed}": scores(args.answers[0], f"_seed{seed}", asked) for seed in SEEDS}
        found["mean"] = scores(args.answers[0], "", asked)
    else:
        found = {chr(ord("a") + i): scores(path, "", asked) for i, path in enumerate(args.answers)}
    moved = None if labels is None else labels.is_de
    report("DE", {name: errors_of(de, moved) for name, (de, _) in found.items()}, asked)
    kept = np.ones(len(asked), bool) if labels is None else labels.is_de
    up = None if labels is None else labels.is_up[kept]
    report("DIR", {name: errors_of(way[kept], up) for name, (_, way) in found.items()}, asked.take(kept))
    if labels is not None and len(args.answers) == 1:
        compare(found, labels)


if __name__ == "__main__":
    main()
