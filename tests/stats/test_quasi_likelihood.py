"""Quasi-dispersions against scipy's F distribution, a general optimiser, and the reference."""

import numpy as np
import pytest
from effects_cases import PUBLISHED, fit_golden, load_golden
from scipy import optimize, stats

from perturbarena.errors import InputError
from perturbarena.stats.quasi_likelihood import f_test, fit_f, natural_spline, shrink


def draw(rng, n, *, df, df0, trend):
    return np.exp(trend) * rng.f(df, df0, n)


def negative_log_likelihood(parameter, values, df, basis):
    log_scale = basis @ parameter[:-1]
    return -(stats.f.logpdf(values / np.exp(log_scale), df, np.exp(parameter[-1])) - log_scale).sum()


@pytest.mark.parametrize(("df", "df0"), [(5, 4.0), (120, 30.0), (2000, 300.0)])
def test_prior_is_the_optimum_of_a_general_search(df, df0):
    rng = np.random.default_rng(0)
    log_mean = rng.normal(0, 1.5, 600)
    values = draw(rng, 600, df=df, df0=df0, trend=0.2 * np.sin(log_mean))
    basis = natural_spline(log_mean)
    prior = fit_f(values, df, basis)
    start = np.r_[np.linalg.lstsq(basis, np.log(values), rcond=None)[0], 2.0]
    found = optimize.minimize(
        negative_log_likelihood,
        start,
        (values, df, basis),
        "Nelder-Mead",
        options={"maxiter": 8000, "maxfev": 8000},
    )
    assert prior.log_likelihood == pytest.approx(
        -negative_log_likelihood(
            np.r_[np.linalg.lstsq(basis, np.log(prior.scale), rcond=None)[0], np.log(prior.df0)], values, df, basis
        ),
        rel=1e-9,
    )
    assert prior.log_likelihood >= -found.fun - 1e-6
    assert prior.df0 == pytest.approx(np.exp(found.x[-1]), rel=1e-2)
    assert prior.df0 == pytest.approx(df0, rel=0.4)


def test_prior_without_trend_recovers_scale_and_freedom():
    values = draw(np.random.default_rng(1), 20000, df=50, df0=12.0, trend=np.log(1.7))
    prior = fit_f(values, 50, np.ones((20000, 1)))
    assert prior.scale[0] == pytest.approx(1.7, rel=0.02)
    assert prior.df0 == pytest.approx(12, rel=0.05)


def test_prior_is_a_point_where_values_vary_less_than_chance():
    values = 1.3 * np.random.default_rng(2).chisquare(1000, 400) / 1000
    prior = fit_f(values, 50, np.ones((400, 1)))
    assert np.isinf(prior.df0)
    assert prior.scale == pytest.approx(np.full(400, 1.3), rel=0.02)


def test_spline_is_natural_and_smooth():
    x = np.r_[np.linspace(-2, 4, 4001)]
    basis = natural_spline(x)
    assert np.linalg.matrix_rank(basis) == 4
    second = np.diff(basis, 2, axis=0) / (x[1] - x[0]) ** 2
    assert np.abs(second[[0, -1]]).max() < 0.01 * np.abs(second).max()
    assert np.abs(np.diff(second, axis=0)).max() < 0.01 * np.abs(second).max()
    third = np.diff(basis, 3, axis=0) / (x[1] - x[0]) ** 3
    jumps = np.flatnonzero(np.abs(np.diff(third[:, 3])) > 0.1 * np.ptp(third[:, 3]))
    assert np.unique(np.round(x[jumps + 2], 1)).tolist() == [0.0, 2.0]


@pytest.mark.parametrize("name", PUBLISHED)
def test_equals_the_reference(name):
    golden, fit = load_golden(name), fit_golden(name)
    assert fit.df2 == pytest.approx(golden.df2, rel=1e-4)
    trend = golden.genes["ql_disp_trend"].to_numpy()
    assert np.quantile(np.abs(fit.quasi.trend / trend - 1), 0.99) < 2e-3
    shrunken = np.abs(fit.quasi.shrunken / golden.genes["ql_disp_shrunken"].to_numpy() - 1)
    assert np.quantile(shrunken, 0.99) < 2e-3
    assert np.corrcoef(golden.genes["f_statistic"], fit.statistic)[0, 1] > 0.9999


def test_shrunken_lies_between_estimate_and_trend():
    rng = np.random.default_rng(3)
    mean, theta = np.exp(rng.normal(0, 1, 300)), rng.exponential(size=300)
    quasi = shrink(mean, theta, np.full(300, 0.7), df=40)
    low, high = np.minimum(quasi.estimate, quasi.trend), np.maximum(quasi.estimate, quasi.trend)
    assert np.all((quasi.shrunken >= low) & (quasi.shrunken <= high))
    assert quasi.estimate == pytest.approx((1 + mean * theta) / (1 + 0.7 * mean))


def test_poisson_data_need_no_shrinkage():
    quasi = shrink(np.ones(150), np.zeros(150), np.zeros(150), df=10)
    assert np.isinf(quasi.df0)
    assert np.all(quasi.shrunken == 1)
    gain = np.array([0.0, 1.0, 3.84145882069412])
    assert f_test(gain, shrink(np.ones(3), np.zeros(3), np.zeros(3), df=10), df=10) == pytest.approx(
        stats.chi2.sf(gain, 1)
    )


@pytest.mark.parametrize("mean", [np.ones(150), np.repeat([1.0, 2.0], 75), np.repeat([1.0, 1.0 + 1e-14], 75)])
def test_too_few_distinct_means_for_a_spline_get_a_constant_prior(mean):
    theta = np.random.default_rng(4).exponential(size=150)
    quasi = shrink(mean, theta, np.full(150, 0.7), df=40)
    assert np.ptp(quasi.trend) < 1e-12
    assert np.isfinite(quasi.df0)


def test_genes_of_no_expression_stay_off_the_spline():
    rng = np.random.default_rng(5)
    mean, theta = np.exp(rng.normal(0, 1, 200)), rng.exponential(size=200)
    mean[:50], theta[:50] = 0.0, 0.0
    quasi = shrink(mean, theta, np.full(200, 0.7), df=40)
    assert np.ptp(quasi.trend[:50]) == 0
    assert np.isfinite(quasi.shrunken).all()
    rest = shrink(mean[50:], theta[50:], np.full(150, 0.7), df=40)
    assert quasi.df0 == pytest.approx(rest.df0, rel=1e-6)
    assert quasi.trend[50:] == pytest.approx(rest.trend, rel=1e-6)


def test_pvalue_is_that_of_the_f_distribution():
    rng = np.random.default_rng(6)
    mean, theta = np.exp(rng.normal(0, 1, 120)), rng.exponential(size=120)
    quasi = shrink(mean, theta, np.full(120, 0.7), df=30)
    gain = rng.exponential(3, 120)
    assert f_test(gain, quasi, df=30) == pytest.approx(
        stats.f.sf(gain / quasi.shrunken, 1, quasi.df0 + 30), rel=1e-10
    )


def test_needs_degrees_of_freedom():
    with pytest.raises(InputError, match="0 degrees of freedom"):
        shrink(np.ones(3), np.ones(3), np.ones(3), df=0)
