"""The trend against a naive loop and the reference; θ against a general optimiser of the adjusted likelihood."""

import numpy as np
import pandas as pd
import pytest
from effects_cases import GOLDEN, Screen, fit_golden, load_golden, sides, simulate
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special

from perturbarena.stats import dispersion, nb_glm, nb_groups
from perturbarena.stats.dispersion import local_median


def naive_trend(mean, theta):
    """Window by window: sort, accumulate weights, take the first θ at which half the weight is reached."""
    n = len(mean)
    half = int(max(0.1 * n, 100) // 2)
    order = np.argsort(mean, kind="stable")
    y = theta[order]
    weights = np.exp(-0.5 * np.linspace(-3, 3, 2 * half + 1) ** 2)
    out = np.empty(n)
    for i in range(half, n - half):
        window = y[i - half : i + half + 1]
        rising = np.argsort(window)
        reached = np.cumsum(weights[rising]) >= weights.sum() / 2
        out[i] = window[rising][np.argmax(reached)]
    out[:half], out[n - half :] = out[half], out[n - half - 1]
    trend = np.empty(n)
    trend[order] = out
    return trend


@given(n=st.integers(101, 400), seed=st.integers(0, 10**6))
def test_trend_equals_a_naive_loop(n, seed):
    rng = np.random.default_rng(seed)
    mean, theta = rng.exponential(size=n), np.maximum(0, rng.normal(0.3, 0.5, n))
    assert np.array_equal(local_median(mean, theta), naive_trend(mean, theta))


def test_trend_equals_a_naive_loop_on_many_genes():
    rng = np.random.default_rng(0)
    mean = rng.exponential(size=3000)
    theta = np.round(np.maximum(0, rng.normal(0.1, 0.5, 3000)), 2)
    assert np.array_equal(local_median(mean, theta), naive_trend(mean, theta))


def test_trend_equals_the_reference_for_few_genes():
    """1 to 130 genes: one interpolated median, one plain one, or windows, by the number of genes."""
    reference = pd.read_csv(GOLDEN / "local_median.csv.gz")
    assert set(reference["n"]) == {1, 2, 3, 10, 35, 59, 60, 99, 100, 101, 130}
    for _, table in reference.groupby("n"):
        trend = local_median(table["x"].to_numpy(), table["y"].to_numpy())
        assert trend == pytest.approx(table["fit"].to_numpy(), abs=1e-14)


@pytest.mark.parametrize("name", ["null2k", "edge_onebatch", "edge_60genes"])
def test_trend_of_golden_screens(name):
    trend = load_golden(name).genes["dispersion_trend"].to_numpy()
    assert fit_golden(name).theta_trend == pytest.approx(trend, rel=1e-3, abs=1e-5)


def test_rounding_errors_in_the_means_do_not_move_the_trend():
    rng = np.random.default_rng(1)
    mean, theta = rng.integers(1, 30, 300) / 7.0, rng.exponential(size=300)
    noisy = mean * (1 + 1e-11 * rng.standard_normal(300))
    assert np.array_equal(local_median(noisy, theta), local_median(mean, theta))
    assert np.array_equal(local_median(np.zeros(120), theta[:120]), naive_trend(np.zeros(120), theta[:120]))


def estimate(screen, gene):
    """θ of one gene with the fit it rests on: the means of all cells in the order of ``sides``."""
    control, perturbed = sides(Screen(screen.counts[[gene]], screen.pert, screen.batch, screen.size_factor))
    y = screen.counts[gene]
    paired = np.ones(len(control.sums), bool)
    fit = nb_groups.new_fit(len(paired))
    exceed = np.zeros(dispersion.CAP)
    state = nb_groups.sum_counts(control, perturbed, 0, paired, fit)
    largest = dispersion.count_above(control, perturbed, 0, exceed)[2]
    size_sums = nb_glm._size_sums(control, perturbed)[0]
    start = (y.var(ddof=1) - y.mean()) / y.mean() ** 2
    beta_p = nb_groups.fit_full(
        control, perturbed, 0, max(0.0, start), fit, nb_groups.start_beta(size_sums, paired, state, fit)
    )
    theta = dispersion.maximum_likelihood(control, perturbed, 0, fit, beta_p, exceed, largest, start)
    return theta, screen.size_factor * np.exp(fit.beta[screen.batch] + beta_p * screen.pert)


def adjusted(y, mu, design, theta):
    r = 1 / theta
    likelihood = (
        special.gammaln(y + r) - special.gammaln(r) + y * np.log(theta * mu) - (y + r) * np.log1p(theta * mu)
    )
    weight = (mu / (1 + theta * mu))[:, None]
    return likelihood.sum() - 0.495 * np.linalg.slogdet(design.T @ (weight * design))[1]


@pytest.mark.parametrize("mean", [(0.2, 5.0), (30.0, 300.0), (5e3, 1e5)])
def test_theta_is_the_optimum_of_a_general_search(mean):
    rng = np.random.default_rng(3)
    theta = np.exp(rng.uniform(np.log(0.05), np.log(3), 25))
    screen = simulate(rng, genes=25, perturbed=30, controls=70, batches=2, mean=mean, theta=theta)
    design = np.column_stack([screen.batch == 0, screen.batch == 1, screen.pert]).astype(float)
    positive = 0
    for gene in range(25):
        got, mu = estimate(screen, gene)

        def loss(log_theta, y=screen.counts[gene], mu=mu):
            return -adjusted(y, mu, design, np.exp(log_theta))

        if got == 0:
            assert loss(np.log(1e-6)) < loss(np.log(1e-3))
            continue
        positive += 1
        best = optimize.minimize_scalar(loss, bounds=(np.log(got) - 3, np.log(got) + 3), method="bounded")
        assert loss(np.log(got)) <= best.fun + 1e-9 * abs(best.fun)
        assert np.log(got) == pytest.approx(best.x, abs=1e-3)
    assert positive >= 15


def test_poisson_counts_get_no_overdispersion_about_half_the_time():
    screen = simulate(np.random.default_rng(4), genes=300, perturbed=60, controls=140, mean=(1, 20), theta=0.0)
    theta = screen.fit_grouped().theta
    assert 0.3 < (theta == 0).mean() < 0.7
    assert np.quantile(theta, 0.95) < 0.1


def test_start_that_is_zero_but_for_rounding_does_not_decide():
    """One count of one: variance equals mean, in floating point up to a sign; θ must not depend on that sign."""
    y = np.zeros((1, 144), int)
    y[0, 100] = 1
    size = np.exp(np.random.default_rng(5).normal(0, 0.5, 144))
    size[100] = size.min() / 2
    control, perturbed = sides(Screen(y, np.repeat([1, 0], [30, 114]), np.zeros(144, int), size))
    fit = nb_groups.new_fit(1)
    exceed = np.zeros(dispersion.CAP)
    nb_groups.sum_counts(control, perturbed, 0, np.ones(1, bool), fit)
    fit.beta[0] = -np.log(size[30:].sum())
    dispersion.count_above(control, perturbed, 0, exceed)
    found = {
        dispersion.maximum_likelihood(control, perturbed, 0, fit, 0.0, exceed, 1.0, start)
        for start in (-1e-15, 0.0, 1e-15, 3e-14)
    }
    assert len(found) == 1
    assert found.pop() > 0.01
