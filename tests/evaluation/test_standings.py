"""Comparisons from kept resamples against the comparison that reads both answers; tied groups."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.records import Predictions
from perturbarena.evaluation import Answered, Judge, compare, score_strict, tied_groups
from perturbarena.evaluation.standings import _variances, difference
from perturbarena.stats.resampling import Replicates, two_way_variance

N = 600
TRUTH = simulate_questions(np.random.default_rng(3), n_perts=25, n_genes=60, n_questions=N).questions


def answers(skill: float, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    up = skill * (TRUTH.label == "up") + rng.normal(size=N)
    down = skill * (TRUTH.label == "down") + rng.normal(size=N)
    odds = np.exp(np.stack([up, down, np.zeros(N)]))
    p_up, p_down, _ = odds / odds.sum(axis=0)
    return Predictions(TRUTH.id, p_up, p_down)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.of(TRUTH, counted_genes=TRUTH.gene, seed=11, n_resamples=400)


def test_a_judge_scores_as_the_strict_metric_does_with_the_same_draws(judge):
    mine = answers(1, 0)
    expected = score_strict(TRUTH, mine, rng=np.random.default_rng(11), n_resamples=400)
    assert judge.score(mine).result == expected


def test_the_same_answers_score_the_same_every_time(judge):
    first, again = judge.score(answers(1, 0)), judge.score(answers(1, 0))
    assert first.result == again.result
    np.testing.assert_array_equal(first.replicates, again.replicates)


def test_a_difference_from_kept_resamples_is_the_paired_comparison(judge):
    a, b = answers(1.0, 1), answers(1.4, 2)
    told = compare(
        Answered(TRUTH, TRUTH.gene, (a, b), ()), rng=np.random.default_rng(11), n_resamples=400
    )[0].contrasts["score"]  # fmt: skip
    one, two = judge.score(a), judge.score(b)
    sizes = (one.result.n_perts, one.result.n_genes, one.result.n)
    found = difference(one.result.score, two.result.score, (one.replicates, two.replicates), sizes=sizes)
    assert found.difference == pytest.approx(told.difference.difference)
    assert found.p == pytest.approx(told.difference.p, rel=1e-4)
    assert found.interval == pytest.approx(told.difference.interval, rel=1e-4)


def test_variances_at_once_are_those_one_by_one():
    d = np.random.default_rng(0).normal(size=(7, 3, 50))
    replicates = Replicates(d[:, 0].T, d[:, 1].T, d[:, 2].T, 20, 30, 100)
    expected = [two_way_variance(replicates, k).total for k in range(7)]
    np.testing.assert_allclose(_variances(d, (20, 30, 100)), expected)


def test_groups_part_where_scores_are_told_apart(judge):
    found = [judge.score(answers(skill, seed)) for seed, skill in enumerate((3.0, 2.95, 0.8, 0.75, 0.0))]
    found.sort(key=lambda one: -one.result.score)
    sizes = [(one.result.n_perts, one.result.n_genes, one.result.n) for one in found]
    groups = tied_groups([one.result.score for one in found], [one.replicates for one in found], sizes)
    assert groups[0] == groups[1] == 1
    assert groups[2] == groups[3] == 2
    assert groups == sorted(groups)


def test_equals_are_rarely_parted(judge):
    """Among entries of one skill, few boards part: 5 %, and more because luck chooses the leader."""
    parted = 0
    for board in range(20):
        found = [judge.score(answers(1.0, 100 * board + k)) for k in range(6)]
        found.sort(key=lambda one: -one.result.score)
        sizes = [(one.result.n_perts, one.result.n_genes, one.result.n) for one in found]
        groups = tied_groups([one.result.score for one in found], [one.replicates for one in found], sizes)
        parted += groups[-1] > 1
    assert parted <= 5  # 20 boards at 5 %: six or more have a chance of 0.03 %; picking the leader costs some


def test_what_cannot_be_compared_is_not_parted(judge):
    good, bad = judge.score(answers(3, 1)), judge.score(answers(0, 2))
    sizes = (good.result.n_perts, good.result.n_genes, good.result.n)
    scores = [good.result.score, bad.result.score]
    assert tied_groups(scores, [good.replicates, bad.replicates], [sizes] * 2) == [1, 2]
    assert tied_groups(scores, [good.replicates, None], [sizes] * 2) == [1, 1]
    assert tied_groups(scores, [None, bad.replicates], [sizes] * 2) == [1, 1]
    undefined = np.full_like(bad.replicates, np.nan)
    assert tied_groups(scores, [good.replicates, undefined], [sizes] * 2) == [1, 1]
    assert tied_groups([], [], []) == []
    assert tied_groups([0.5], [good.replicates], [sizes]) == [1]
    assert tied_groups([0.7, 0.7], [good.replicates, good.replicates], [sizes] * 2) == [1, 1]
