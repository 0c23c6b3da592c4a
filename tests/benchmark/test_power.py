from __future__ import annotations

import numpy as np
import pytest

from perturbarena.benchmark.entrants import EntrantModel, LabelMix, simulate_pair
from perturbarena.benchmark.power import Difference, PowerSettings, measure_power, paired_differences
from perturbarena.challenge.records import NONE, UP, Questions
from perturbarena.errors import InputError

MIX = LabelMix(0.3, 0.15, 0.55)
QUICK = PowerSettings(draws=6, resamples=100)


def questions(n_perts: int, n_genes: int) -> Questions:
    pert, gene = np.divmod(np.arange(n_perts * n_genes), n_genes)
    return Questions.from_pairs([f"P{i}" for i in pert], [f"G{i}" for i in gene])


def test_more_questions_show_smaller_differences():
    power = measure_power(questions(24, 40), MIX, rng=np.random.default_rng(0), settings=QUICK)
    smallest = [point.smallest["de_auroc"] for point in power.curve]
    assert smallest[-1] < 0.6 * smallest[0]
    assert power.whole.n == 960
    assert power.whole.n_perts == 24
    assert all(point.smallest["dir_auroc"] > point.smallest["de_auroc"] for point in power.curve[-3:])


def test_shared_errors_cancel_in_a_paired_difference():
    def sd(correlation: float) -> float:
        model = EntrantModel(
            pert_correlation=correlation, gene_correlation=correlation, row_correlation=correlation
        )
        power = measure_power(questions(20, 30), MIX, rng=np.random.default_rng(1), model=model, settings=QUICK)
        return power.whole.sd["score"]

    apart, close = sd(0.0), sd(0.9)
    assert close < 0.5 * apart
    assert sd(1.0) < 1e-9


@pytest.mark.slow
def test_the_smallest_difference_is_seen_in_80_of_100_sets():
    rng = np.random.default_rng(3)
    rows = questions(40, 30)
    pert, gene = np.divmod(np.arange(len(rows)), 30)
    gap = measure_power(rows, MIX, rng=rng, settings=PowerSettings(draws=40, resamples=200)).whole.smallest

    def rejected(gap: float) -> float:
        seen = []
        for _ in range(300):
            label = MIX.draw(rng, len(rows))
            pair = simulate_pair(rng, EntrantModel(), pert, gene, label, gap=gap)
            found = paired_differences(pair, pert, gene, label, n_resamples=200, rng=rng)
            seen.append(found["score"].significant(0.05))
        return float(np.mean(seen))

    assert rejected(0.0) <= 0.08
    assert 0.72 <= rejected(gap["score"]) <= 0.92


def test_too_few_names_and_missing_classes_are_refused():
    with pytest.raises(InputError, match="at least 5 perturbations and 5 genes; got 4 and 30"):
        measure_power(questions(4, 30), MIX, rng=np.random.default_rng(0))
    rows = questions(10, 10)
    with pytest.raises(InputError, match="need up, down and none"):
        measure_power(rows, np.full(100, NONE, object), rng=np.random.default_rng(0), settings=QUICK)


def test_a_missing_direction_leaves_de_defined():
    rows = questions(12, 12)
    labels = np.where(np.arange(144) % 2, UP, NONE).astype(object)
    power = measure_power(rows, labels, rng=np.random.default_rng(0), settings=QUICK)
    assert power.whole.smallest["de_auroc"] > 0
    assert power.as_json()["whole"]["smallest"]["dir_auroc"] is None
    assert power.as_json()["labels"] == {"up": 0.5, "down": 0.0, "none": 0.5, "known": True}


def test_an_undefined_variance_shows_nothing():
    assert not Difference(0.3, float("nan"), 10).significant(0.05)
    assert Difference(0.3, 0.01, 10).significant(0.05)
    assert not Difference(0.3, 0.02, 10).significant(0.05)  # t of 2.12 where 2.23 is needed
