import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from perturbarena.errors import InputError
from perturbarena.stats.auroc import rank
from perturbarena.stats.paired import Duel, holm, paired_difference, swap_test
from perturbarena.stats.resampling import Draws, resample, two_way_variance


def test_interval_and_p_are_those_of_the_t_test():
    values = np.random.default_rng(0).normal(0.3, size=20)
    found = paired_difference(values.mean(), values.var(ddof=1) / 20, 19)
    reference = ttest_1samp(values, 0)
    assert found.p == pytest.approx(reference.pvalue)
    assert found.interval == pytest.approx(tuple(reference.confidence_interval()))


def test_the_minimum_detectable_difference_is_found_four_times_in_five():
    rng = np.random.default_rng(1)
    mdd = paired_difference(0.0, 0.02**2, 10_000).minimum_detectable
    seen = rng.normal(mdd, 0.02, size=4000)
    share = np.mean([paired_difference(d, 0.02**2, 10_000).p < 0.05 for d in seen])
    assert share == pytest.approx(0.8, abs=0.02)


def test_no_difference_at_all_and_undefined():
    same = paired_difference(0.0, 0.0, 9)
    assert (same.p, same.interval, same.minimum_detectable) == (1.0, (0.0, 0.0), 0.0)
    undefined = paired_difference(0.1, float("nan"), 9)
    assert undefined.interval is None
    assert np.isnan(undefined.p)


def test_holm_by_hand():
    np.testing.assert_allclose(holm(np.array([0.01, np.nan, 0.04, 0.03])), [0.03, np.nan, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_p_and_bonferroni(p):
    adjusted = holm(np.array(p))
    assert np.all(adjusted >= np.array(p))
    assert np.all(adjusted <= np.minimum(np.array(p) * len(p), 1) + 1e-12)


def clustered(rng, gap=0.0, n=600):
    pert, gene = rng.integers(30, size=n), rng.integers(90, size=n)
    truth = rng.normal(size=30)[pert] + rng.normal(size=90)[gene] + rng.normal(size=n)
    own = [rng.normal(size=30)[pert] + rng.normal(size=90)[gene] + rng.normal(size=n) for _ in (0, 1)]
    return truth > 0, 0.6 * truth + own[0], (0.6 + gap) * truth + own[1], pert, gene


def test_swap_finds_what_is_there_and_not_what_is_not():
    small = {0.0: 0, 0.6: 0}
    for gap in small:
        for seed in range(60):
            rng = np.random.default_rng([seed, int(10 * gap)])
            positive, a, b, pert, gene = clustered(rng, gap)
            draws = Draws.of(pert, gene, n_resamples=199, rng=rng)
            (p,) = swap_test([Duel.of(positive, a, b)], np.ones((1, 1)), draws=draws)
            small[gap] += p < 0.05
    assert small[0.0] <= 9  # binomial(60, 0.05): more in 0.1 % of runs
    assert small[0.6] >= 40


def test_swap_agrees_with_the_two_way_variance_and_ignores_scales():
    positive, a, b, pert, gene = clustered(np.random.default_rng(5), 0.25)
    rng = np.random.default_rng(0)
    draws = Draws.of(pert, gene, n_resamples=4000, rng=rng)
    (p,) = swap_test([Duel.of(positive, a, b)], np.ones((1, 1)), draws=draws)
    (stretched,) = swap_test([Duel.of(positive, np.exp(a), 100 * b)], np.ones((1, 1)), draws=draws)
    assert p == stretched
    rankings = [rank(positive, a), rank(positive, b)]
    found = resample(rankings, pert, gene, n_resamples=4000, rng=rng)
    difference = rankings[1].value() - rankings[0].value()
    by_t = paired_difference(difference, two_way_variance(found.column((-1, 1))).total, 29).p
    assert p == pytest.approx(by_t, abs=0.04)


def test_the_same_answers_have_no_p():
    positive, a, _, pert, gene = clustered(np.random.default_rng(1))
    draws = Draws.of(pert, gene, n_resamples=20, rng=np.random.default_rng(0))
    assert np.isnan(swap_test([Duel.of(positive, a, a)], np.ones((1, 1)), draws=draws)).all()


def test_one_class_is_refused():
    with pytest.raises(InputError, match="both classes"):
        Duel.of(np.ones(3, bool), np.ones(3), np.ones(3))
