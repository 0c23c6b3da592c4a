"""Any design, cell by cell: against glmGamPoi with a covariate, naive optimisation, equivalent designs."""

import dataclasses

import numpy as np
import pytest
from effects_cases import Screen, load_golden, simulate
from scipy import optimize, sparse

from perturbarena.errors import InputError
from perturbarena.stats import nb_dense, nb_groups
from perturbarena.stats.nb_dense import fit_design


def fit_columns(screen, design, *, tested):
    return fit_design(sparse.csc_array(screen.counts.T), design, tested=tested, size_factor=screen.size_factor)


def test_agrees_with_glmgampoi_beside_a_continuous_covariate():
    golden = load_golden("covariate")
    fit = golden.fit_dense()
    assert np.abs(fit.log2fc - golden.log2fc).max() <= 1e-4
    assert np.abs(np.log10(fit.pvalue / golden.genes["pval"])).max() <= 1e-3
    assert fit.df2 == pytest.approx(golden.df2, rel=1e-4)
    assert np.array_equal(fit.fdr < 0.05, golden.genes["adj_pval"] < 0.05)
    assert np.all(fit.log2fc[5:10] == -10)
    finite = fit.state == nb_groups.ESTIMATED
    assert fit.se_log2fc[finite] * np.log(2) == pytest.approx(golden.genes["se_ln"][finite], rel=1e-3)


def test_agrees_with_glmgampoi_on_the_covariate_itself():
    golden = load_golden("covariate")
    fit = golden.fit_dense(tested=4)
    assert np.abs(fit.log2fc - golden.genes["x_lfc"]).max() <= 1e-4
    assert np.abs(np.log10(fit.pvalue / golden.genes["x_pval"])).max() <= 1e-2
    assert 20 < (fit.fdr < 0.05).sum() < 90


def covariate_screen(seed, **options):
    rng = np.random.default_rng(seed)
    screen = simulate(rng, genes=options.pop("genes", 40), perturbed=30, controls=70, batches=2, **options)
    return dataclasses.replace(screen, covariate=rng.normal(0, 1, 100))


def naive_deviance(y, design, size_factor, theta):
    """Twice the least negative log-likelihood, by a general optimiser."""

    def loss(beta):
        mu = size_factor * np.exp(design @ beta)
        return -(y * np.log(mu) - (y + 1 / theta) * np.log1p(theta * mu)).sum()

    def slope(beta):
        mu = size_factor * np.exp(design @ beta)
        return -design.T @ ((y - mu) / (1 + theta * mu))

    start = np.zeros(design.shape[1])
    start[0] = np.log(y.sum() / size_factor.sum())
    found = optimize.minimize(loss, start, jac=slope, method="BFGS", options={"gtol": 1e-9})
    return 2 * found.fun, found.x


def test_coefficients_gain_and_error_equal_naive_optimisation():
    screen = covariate_screen(0, mean=(0.5, 30.0))
    design, fit = screen.design(), screen.fit_dense(tested=3)
    for gene in range(0, 40, 4):
        y, theta = screen.counts[gene].astype(float), fit.theta_trend[gene]
        full, beta = naive_deviance(y, design, screen.size_factor, theta)
        reduced, _ = naive_deviance(y, np.delete(design, 3, 1), screen.size_factor, theta)
        assert fit.log2fc[gene] * np.log(2) == pytest.approx(beta[3], abs=1e-5)
        assert fit.deviance_gain[gene] == pytest.approx(reduced - full, abs=1e-6)
        mu = screen.size_factor * np.exp(design @ beta)
        weight = mu / (1 + fit.theta[gene] * mu)
        variance = np.linalg.inv(design.T @ (weight[:, None] * design))[3, 3]
        assert fit.se_log2fc[gene] * np.log(2) == pytest.approx(np.sqrt(variance), rel=1e-4)


@pytest.mark.parametrize("log_theta", [-14.0, -6.0, -1.0, 2.0])
@pytest.mark.parametrize("y", [0, 1, 2, 63, 64, 65, 1000, 200000])
def test_sums_over_counts_equal_term_by_term(y, log_theta):
    x = np.arange(1, y) * np.exp(log_theta)
    first, second = nb_dense._steps(float(y), log_theta)
    assert first == pytest.approx((x / (1 + x)).sum(), rel=1e-9)
    # for θ → 0 the second derivative is a difference of large terms
    assert second == pytest.approx((x / (1 + x) ** 2).sum(), rel=1e-5)


@pytest.mark.parametrize("log_theta", [-8.0, -2.0, 1.0])
def test_score_of_theta_is_the_slope_of_the_adjusted_likelihood(log_theta):
    rng = np.random.default_rng(1)
    design = np.column_stack([np.ones(80), rng.normal(size=(80, 2))])
    mu = np.exp(rng.normal(1, 1, 80))
    y = rng.poisson(mu * rng.gamma(2, 0.5, 80)).astype(float)
    y[0] = 300

    def adjusted(log_theta):
        theta = np.exp(log_theta)
        steps = sum(np.log1p(theta * np.arange(int(count))).sum() for count in y)
        weight = (mu / (1 + theta * mu))[:, None]
        determinant = np.linalg.slogdet(design.T @ (weight * design))[1]
        return steps + (y * np.log(mu) - (y + 1 / theta) * np.log1p(theta * mu)).sum() - 0.495 * determinant

    h = 1e-4
    low, middle, high = (adjusted(log_theta + d) for d in (-h, 0, h))
    first, second = nb_dense._theta_score(y, mu, design, log_theta)
    assert first == pytest.approx((high - low) / (2 * h), rel=1e-4, abs=1e-6)
    assert second == pytest.approx((high - 2 * middle + low) / h**2, rel=1e-3, abs=2e-3)
    at_zero = nb_dense._theta_slope_at_zero(y, mu, design)
    assert nb_dense._theta_score(y, mu, design, -16.0)[0] / np.exp(-16.0) == pytest.approx(at_zero, rel=1e-4)


def test_equivalent_designs_give_the_same_test():
    """Other contrasts of the batches, other units and a shifted covariate span the same models."""
    screen = covariate_screen(2)
    design, fit = screen.design(), screen.fit_dense(tested=1)
    other = design @ np.array([[2.0, 0, 1, 5], [0, 1, 0, 0], [1, 0, -3, 0], [0, 0, 0, 1e4]])
    same = fit_columns(screen, other, tested=1)
    assert same.log2fc == pytest.approx(fit.log2fc, abs=1e-7)
    assert same.pvalue == pytest.approx(fit.pvalue, rel=1e-6)
    assert same.se_log2fc == pytest.approx(fit.se_log2fc, rel=1e-6)
    scaled = fit_columns(screen, design * [1, 1, 1, 1e-3], tested=3)
    plain = fit_columns(screen, design, tested=3)
    finite = (np.abs(scaled.log2fc) < 10) & (plain.state == nb_groups.ESTIMATED)
    assert scaled.log2fc[finite] == pytest.approx(1000 * plain.log2fc[finite], abs=1e-4)
    assert scaled.pvalue == pytest.approx(plain.pvalue, rel=1e-6)


def test_counts_may_come_as_any_sparse_matrix():
    screen = covariate_screen(3, genes=5)
    options = {"tested": 1, "size_factor": screen.size_factor}
    fits = [
        fit_design(form(screen.counts.T), screen.design(), **options)
        for form in (sparse.csc_array, sparse.csr_matrix, sparse.coo_array)
    ]
    assert np.array_equal(fits[0].pvalue, fits[1].pvalue)
    assert np.array_equal(fits[0].pvalue, fits[2].pvalue)


def test_coefficient_at_infinity_is_told_by_its_sign():
    """A covariate whose highest cells alone have counts: no finite slope is best."""
    rng = np.random.default_rng(4)
    x = np.repeat([0.0, 1.0, 2.0, 3.0], 20)
    counts = np.zeros((5, 80), int)
    counts[0, x == 3] = rng.poisson(3, 20)
    counts[1, x == 0] = rng.poisson(3, 20)
    counts[2] = rng.poisson(2, 80)
    counts[4, 70] = 1
    screen = Screen(counts, np.zeros(80, int), np.zeros(80, int), np.exp(rng.normal(0, 0.2, 80)))
    fit = fit_columns(screen, np.column_stack([np.ones(80), x]), tested=1)
    up, down = nb_groups.ZERO_IN_CONTROL, nb_groups.ZERO_IN_PERTURBED
    assert fit.state.tolist() == [up, down, nb_groups.ESTIMATED, nb_groups.UNINFORMATIVE, up]
    assert fit.log2fc[[0, 1, 3, 4]].tolist() == [10, -10, 0, 10]
    assert np.all(fit.se_log2fc[[0, 1, 3, 4]] == nb_groups.SE_SEPARATED / np.log(2))
    assert np.all(fit.pvalue[:2] < 1e-3)
    assert fit.pvalue[3] == 1


def test_a_design_of_the_tested_column_alone():
    screen = simulate(np.random.default_rng(5), genes=20, perturbed=50, controls=1, mean=(2, 9))
    fit = fit_columns(screen, np.ones((51, 1)), tested=0)
    pooled = np.log2(screen.counts.sum(1) / screen.size_factor.sum())
    assert fit.log2fc == pytest.approx(pooled, abs=0.4)
    assert np.all(np.isfinite(fit.pvalue))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: np.column_stack([x, x[:, 1] + x[:, 2]]), "5 columns have rank 4"),
        (lambda x: np.column_stack([x, np.zeros(100)]), "5 columns have rank 4"),
        (lambda x: np.column_stack([x, 1e-9 * x[:, 0]]), "5 columns have rank 4"),
        (lambda x: np.where(x == x[3, 3], np.nan, x), "finite values; 1 are not"),
        (lambda x: x[:50], r"each of the 100 cells; got shapes \(50, 4\)"),
        (lambda x: np.eye(100), "got 100 and 100"),
    ],
)
def test_refuses_designs_that_cannot_be_fitted(change, message):
    screen = covariate_screen(6, genes=3)
    with pytest.raises(InputError, match=message):
        fit_columns(screen, change(screen.design()), tested=1)


def test_refuses_other_columns_and_size_factors_that_are_not_positive():
    screen = covariate_screen(7, genes=3)
    with pytest.raises(InputError, match="one of 0 … 3; got 4"):
        fit_columns(screen, screen.design(), tested=4)
    empty = dataclasses.replace(screen, size_factor=np.r_[0.0, screen.size_factor[1:]])
    with pytest.raises(InputError, match="positive and finite"):
        fit_columns(empty, screen.design(), tested=1)
