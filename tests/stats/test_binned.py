import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.errors import InputError
from perturbarena.stats.binned import bin_sum_replicates, bin_sums, calibration_error, quantile_bins
from perturbarena.stats.resampling import Draws


@given(st.lists(st.integers(0, 20), min_size=1, max_size=80))
def test_bins_keep_order_and_equal_values_together(values):
    values = np.array(values, float)
    bins = quantile_bins(values, 4)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(bins[order]) >= 0)
    assert all(len(set(bins[values == v])) == 1 for v in values)
    assert set(bins) == set(range(bins.max() + 1))


def test_bins_are_nearly_equal_without_ties():
    sizes = np.bincount(quantile_bins(np.random.default_rng(0).permutation(103)))
    assert len(sizes) == 10
    assert sizes.max() - sizes.min() <= 1


def test_sums_and_calibration_error_by_hand():
    sums = bin_sums(np.array([0, 0, 1]), np.array([[0.2, 0.0], [0.4, 1.0], [0.9, 1.0]]))
    np.testing.assert_allclose(sums, [[2, 0.6, 1.0], [1, 0.9, 1.0]])
    assert calibration_error(sums) == pytest.approx((0.4 + 0.1) / 3)


def test_resampled_means_vary_as_means_do():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(400, 1))
    draws = Draws.of(np.arange(400), np.arange(400), n_resamples=2000, rng=rng)
    for found in bin_sum_replicates(np.zeros(400, int), values, draws):
        means = found[:, 0, 1] / found[:, 0, 0]
        assert means.std() == pytest.approx(values.std() / 20, rel=0.08)


def test_shapes_are_checked():
    with pytest.raises(InputError, match="bins need"):
        bin_sums(np.zeros(3, int), np.zeros((2, 1)))
