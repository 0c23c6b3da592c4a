"""How often a board of equals falls into several tied groups, and how often a better entry stands alone.

    .venv/bin/python benchmarks/tied_groups.py [--boards 200]

Entries answer one simulated question set with equal skill and independent noise. A board's leader is chosen by
its luck, so more than 5 % of boards must be expected to part, the more the longer the board.
"""

from __future__ import annotations

import argparse

import numpy as np

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation import Judge, tied_groups

N_QUESTIONS = 900
N_RESAMPLES = 1000


def answers(truth: LabelledQuestions, skill: float, rng: np.random.Generator) -> Predictions:
    n = len(truth)
    up = skill * (truth.label == "up") + rng.normal(size=n)
    down = skill * (truth.label == "down") + rng.normal(size=n)
    odds = np.exp(np.stack([up, down, np.zeros(n)]))
    p_up, p_down, _ = odds / odds.sum(axis=0)
    return Predictions(truth.id, p_up, p_down)


def groups_of(judge: Judge, skills: list[float], rng: np.random.Generator) -> list[tuple[int, float]]:
    """(group, skill) of each entry, best first."""
    found = [(judge.score(answers(judge.truth, skill, rng)), skill) for skill in skills]
    found.sort(key=lambda one: -one[0].result.score)
    sizes = [(one.result.n_perts, one.result.n_genes, one.result.n) for one, _ in found]
    groups = tied_groups([one.result.score for one, _ in found], [one.replicates for one, _ in found], sizes)
    return [(group, skill) for group, (_, skill) in zip(groups, found, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--boards", type=int, default=200)
    n_boards = parser.parse_args().boards
    rng = np.random.default_rng(0)
    truth = simulate_questions(rng, n_perts=60, n_genes=300, n_questions=N_QUESTIONS).questions
    judge = Judge.of(truth, counted_genes=truth.gene, seed=1, n_resamples=N_RESAMPLES)
    print(f"{N_QUESTIONS} questions, {N_RESAMPLES} resamples each way, {n_boards} boards\n")
    print(
        "| entries | skills | boards where the leader is told apart from another | the better one stands alone |"
    )
    print("| --- | --- | --- | --- |")
    for n_entries in (2, 5, 20):
        parted = sum(groups_of(judge, [1.0] * n_entries, rng)[-1][0] > 1 for _ in range(n_boards))
        print(f"| {n_entries} | equal | {parted / n_boards:.1%} | |", flush=True)
    for gap in (0.1, 0.3):
        alone = 0
        for _ in range(n_boards):
            found = groups_of(judge, [1.0 + gap, 1.0, 1.0, 1.0, 1.0], rng)
            alone += found[0][1] > 1 and [group for group, _ in found].count(1) == 1
        print(f"| 5 | one better by {gap} | | {alone / n_boards:.1%} |", flush=True)


if __name__ == "__main__":
    main()
