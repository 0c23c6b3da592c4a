"""Properties that every measure has, in one suite."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perturbarena.challenge.records import NONE, UP
from perturbarena.evaluation.metric import MEASURES, ScoredRows, measure
from perturbarena.stats.auroc import auroc, paired_auroc, stratified_auroc, weighted_auroc

PLAIN = {
    "auroc": lambda positive, score, group, weight: auroc(positive, score),
    "weighted_auroc": lambda positive, score, group, weight: weighted_auroc(positive, score, weight),
    "stratified_auroc": lambda positive, score, group, weight: stratified_auroc(positive, score, group).value,
    "paired_auroc": lambda positive, score, group, weight: paired_auroc(positive, score, group).value,
}


@st.composite
def arrays(draw):
    n = draw(st.integers(4, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([3, 10, 10_000]))
    return rng.random(n) < 0.5, rng.integers(levels, size=n) / levels, rng.integers(4, size=n), rng.random(n)


def same(value):
    return pytest.approx(value, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", PLAIN)
@given(arrays(), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(name, rows, random):
    order = list(range(len(rows[0])))
    random.shuffle(order)
    assert PLAIN[name](*(column[order] for column in rows)) == same(PLAIN[name](*rows))


@pytest.mark.parametrize("name", PLAIN)
@given(arrays())
def test_a_strictly_increasing_map_changes_nothing(name, rows):
    positive, score, group, weight = rows
    value = PLAIN[name](positive, score, group, weight)
    for mapped in (3 * score - 7, np.exp(score), score**3):
        assert PLAIN[name](positive, mapped, group, weight) == same(value)


@pytest.mark.parametrize("name", PLAIN)
@given(arrays())
def test_flipped_labels_or_a_flipped_score_give_one_minus_auroc(name, rows):
    positive, score, group, weight = rows
    value = PLAIN[name](positive, score, group, weight)
    assert PLAIN[name](~positive, score, group, weight) == same(1 - value)
    assert PLAIN[name](positive, -score, group, weight) == same(1 - value)


@pytest.mark.parametrize("name", PLAIN)
@given(arrays())
def test_between_0_and_1_and_one_half_for_a_constant(name, rows):
    positive, score, group, weight = rows
    value = PLAIN[name](positive, score, group, weight)
    assert np.isnan(value) or 0 <= value <= 1
    constant = PLAIN[name](positive, np.zeros(len(score)), group, weight)
    assert constant == (pytest.approx(0.5) if not np.isnan(value) else same(value))


@pytest.mark.parametrize("name", PLAIN)
@given(arrays())
def test_a_perfect_score_gives_1(name, rows):
    positive, _, group, weight = rows
    value = PLAIN[name](positive, positive.astype(float), group, weight)
    assert np.isnan(value) or value == pytest.approx(1.0)


@pytest.mark.parametrize("name", ["auroc", "weighted_auroc", "paired_auroc"])
@given(arrays())
def test_a_doubled_table_scores_the_same(name, rows):
    assert PLAIN[name](*(np.concatenate([column, column]) for column in rows)) == same(PLAIN[name](*rows))


@st.composite
def scored_rows(draw):
    n = draw(st.integers(20, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    gene = rng.integers(8, size=n).astype(str)
    counts = {g: int(np.sum(gene == g)) for g in set(gene)}
    return ScoredRows(
        label=rng.choice(["up", "down", "none"], size=n).astype(object),
        de_score=rng.integers(12, size=n) / 12,
        dir_score=rng.integers(12, size=n) / 12,
        pert=rng.integers(6, size=n).astype(str),
        gene=gene,
        stratum=np.array([counts[g] for g in gene]),
    )


def values(rows):
    found = measure(rows, rng=np.random.default_rng(0), n_resamples=0)
    return np.array([getattr(found, name) for name in MEASURES])


def changed(rows, **columns):
    return ScoredRows(**{name: columns.get(name, getattr(rows, name)) for name in ScoredRows.__slots__})


@given(scored_rows())
def test_every_reported_measure_depends_on_ranks_alone(rows):
    mapped = changed(rows, de_score=np.exp(3 * rows.de_score), dir_score=rows.dir_score**3 - 5)
    np.testing.assert_allclose(values(mapped), values(rows), atol=1e-12)


@given(scored_rows())
def test_every_reported_measure_turns_round_with_its_scores(rows):
    turned = changed(rows, de_score=-rows.de_score, dir_score=-rows.dir_score)
    np.testing.assert_allclose(values(turned), 1 - values(rows), atol=1e-12)


@given(scored_rows())
def test_direction_ignores_unmoved_rows_and_de_ignores_the_direction(rows):
    loud = np.where(rows.label == NONE, 99.0, rows.dir_score)
    np.testing.assert_array_equal(values(changed(rows, dir_score=loud)), values(rows))
    swapped = np.where(rows.label == NONE, NONE, np.where(rows.label == UP, "down", "up")).astype(object)
    before, after = values(rows), values(changed(rows, label=swapped))
    np.testing.assert_allclose(after[[1, 3, 4]], before[[1, 3, 4]])
    assert after[2] == same(1 - before[2])


@settings(max_examples=20)
@given(scored_rows(), st.integers(0, 1000))
def test_row_order_changes_no_measure_and_intervals_hold_their_estimate(rows, seed):
    order = np.random.default_rng(seed).permutation(len(rows.label))
    shuffled = ScoredRows(*(getattr(rows, name)[order] for name in ScoredRows.__slots__))
    found = measure(shuffled, rng=np.random.default_rng(0), n_resamples=40)
    np.testing.assert_allclose([getattr(found, name) for name in MEASURES], values(rows), atol=1e-12)
    for name, interval in found.intervals.items():
        if interval is None:
            assert found.unscored[f"intervals.{name}"]
        else:
            assert 0 <= interval.low <= getattr(found, name) + 1e-12
            assert getattr(found, name) <= interval.high + 1e-12 <= 1 + 1e-12
