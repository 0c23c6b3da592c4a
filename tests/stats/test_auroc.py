import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from perturbarena.errors import InputError
from perturbarena.stats.auroc import auroc, paired_auroc, rank, stratified_auroc, weighted_auroc


@st.composite
def tied_rows(draw):
    n = draw(st.integers(2, 40))
    small = st.integers(0, 5)
    positive = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    score, group, weight = (np.array(draw(st.lists(small, min_size=n, max_size=n)), float) for _ in range(3))
    return positive, score, group, weight


def pair_loop(positive, score, weight=None):
    """AUROC by looking at every pair; None without pairs."""
    weight = np.ones(len(score)) if weight is None else weight
    wins = pairs = 0.0
    for i in np.flatnonzero(positive):
        for j in np.flatnonzero(~positive):
            w = weight[i] * weight[j]
            wins += w * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
            pairs += w
    return wins, pairs


def ratio(wins, pairs):
    return pytest.approx(wins / pairs if pairs else float("nan"), abs=1e-12, nan_ok=True)


@given(tied_rows())
def test_equals_a_loop_over_pairs(rows):
    positive, score, _, weight = rows
    assert auroc(positive, score) == ratio(*pair_loop(positive, score))
    assert weighted_auroc(positive, score, weight) == ratio(*pair_loop(positive, score, weight))


@given(tied_rows())
def test_within_groups_equals_a_loop_over_groups(rows):
    positive, score, group, _ = rows
    counts = {g: pair_loop(positive[group == g], score[group == g]) for g in set(group)}
    found = paired_auroc(positive, score, group)
    assert found.value == ratio(sum(w for w, _ in counts.values()), sum(p for _, p in counts.values()))
    assert found.n_pairs == sum(p for _, p in counts.values())
    assert found.n_groups == sum(p > 0 for _, p in counts.values())


@given(tied_rows())
def test_stratified_is_the_row_weighted_mean_over_strata_with_both_classes(rows):
    positive, score, group, _ = rows
    total = weight = left_out = 0
    for g in set(group):
        wins, pairs = pair_loop(positive[group == g], score[group == g])
        n = int(np.sum(group == g))
        if pairs:
            total, weight = total + n * wins / pairs, weight + n
        else:
            left_out += 1
    found = stratified_auroc(positive, score, group)
    assert found.value == ratio(total, weight)
    assert (found.n_rows, found.n_rows_left_out) == (weight, len(score) - weight)
    assert found.n_strata_left_out == left_out


def test_equals_scikit_learn():
    rng = np.random.default_rng(0)
    for n in (10, 1000, 20_000):
        positive, score = rng.random(n) < 0.3, np.round(rng.normal(size=n), 2)
        positive[:2] = True, False
        weight = rng.random(n)
        assert auroc(positive, score) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)
        assert weighted_auroc(positive, score, weight) == pytest.approx(
            roc_auc_score(positive, score, sample_weight=weight), abs=1e-10
        )


def test_a_subset_of_rows_takes_part():
    rng = np.random.default_rng(1)
    positive, score, among = rng.random(50) < 0.5, rng.random(50), rng.random(50) < 0.6
    weight = rng.random(50)
    ranking = rank(positive, score, among=among)
    assert ranking.value() == pytest.approx(auroc(positive[among], score[among]))
    assert ranking.value(weight) == pytest.approx(weighted_auroc(positive[among], score[among], weight[among]))
    assert ranking.n_rows_left_out == 0


def test_undefined_without_both_classes():
    assert np.isnan(auroc(np.ones(3, bool), np.arange(3.0)))
    assert np.isnan(auroc(np.zeros(0, bool), np.zeros(0)))
    assert np.isnan(weighted_auroc(np.array([True, False]), np.array([1.0, 0.0]), np.array([1.0, 0.0])))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: auroc(np.array([True, False]), np.array([0.1, np.nan])), r"got NaN \(row 1\)"),
        (lambda: auroc(np.array([True]), np.zeros(2)), "one shape"),
        (lambda: weighted_auroc(np.array([True, False]), np.zeros(2), np.array([1, -1])), "at least 0"),
        (lambda: weighted_auroc(np.array([True, False]), np.zeros(2), np.zeros(3)), "shape"),
        (lambda: paired_auroc(np.array([True, False]), np.zeros(2), np.zeros(3)), "groups must have shape"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(InputError, match=message):
        call()
