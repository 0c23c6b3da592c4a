"""Tabulated sums over zeros against sums over cells."""

import numpy as np
import pytest

from perturbarena.stats import zero_sums


def direct(size_factor, v):
    """A, A', A'', A''' at v, summed in extended precision."""
    x = size_factor.astype(np.longdouble) * np.exp(np.longdouble(v))
    p = x / (1 + x)
    q = 1 / (1 + x)
    return np.log1p(x).sum(), p.sum(), (p * q).sum(), (p * q * (q - p)).sum()


def groups(rng):
    """Size factors of every kind that a screen may hold, shallowest cell 1e-3 and deepest 200."""
    return {
        "usual": np.exp(rng.normal(0, 0.4, 500)),
        "one cell": np.array([0.37]),
        "equal": np.full(20, 2.0),
        "wide": np.exp(rng.uniform(np.log(1e-3), np.log(200), 300)),
        "empty cells among deep ones": np.r_[np.full(50, 0.001), np.full(3, 200.0)],
    }


@pytest.mark.parametrize("name", groups(np.random.default_rng(0)))
def test_tables_equal_direct_sums(name):
    size_factor = groups(np.random.default_rng(0))[name]
    tables = zero_sums.tabulate(size_factor, np.array([0, len(size_factor)]))
    table, sums = tables.table[0], tables.sums[0]
    top = np.log(size_factor.max())
    edges = np.array([zero_sums.V_LOW, zero_sums.V_HIGH]) - top
    around = np.concatenate([edges + d for d in (-1e-9, 0.0, 1e-9)])
    for v in np.r_[np.random.default_rng(1).uniform(-40, 45, 1500), around]:
        a, a1, a2, a3 = direct(size_factor, v)
        log_theta = -1.3
        theta, eta = np.exp(log_theta), v - log_theta
        got = np.array([zero_sums.value(table, sums, theta, log_theta, eta)])
        got = np.r_[got, zero_sums.slopes(table, sums, theta, log_theta, eta)] * theta
        assert got[0] == pytest.approx(float(a), rel=1e-9)
        assert got[1] == pytest.approx(float(a1), rel=1e-9)
        # curvature and its slope come from the derivatives of the interpolant; both are below A'
        assert got[2] == pytest.approx(float(a2), rel=1e-7, abs=1e-8 * float(a1))
        assert got[3] == pytest.approx(float(a3), rel=1e-6, abs=1e-6 * float(a1))


def test_limit_of_no_overdispersion_is_the_poisson_mean():
    size_factor = np.exp(np.random.default_rng(2).normal(0, 0.5, 60))
    tables = zero_sums.tabulate(size_factor, np.array([0, 60]))
    for theta in (0.0, 1e-300, 1e-14):
        log_theta = np.log(theta) if theta > 0 else -745.0
        args = (tables.table[0], tables.sums[0], theta, log_theta, 0.7)
        mean = np.exp(0.7) * size_factor.sum()
        assert zero_sums.value(*args) == pytest.approx(mean, rel=1e-12)
        assert zero_sums.slopes(*args) == pytest.approx((mean, mean, mean), rel=1e-12)


def test_groups_do_not_mix_and_may_be_empty():
    size_factor = np.array([1.0, 2.0, 0.5])
    tables = zero_sums.tabulate(size_factor, np.array([0, 2, 2, 3]))
    assert tables.sums[:, 0].tolist() == [2, 0, 1]
    assert not tables.table[1].any()
    alone = zero_sums.tabulate(size_factor[2:], np.array([0, 1]))
    assert np.array_equal(tables.table[2], alone.table[0])
    assert np.array_equal(tables.sums[2], alone.sums[0])
