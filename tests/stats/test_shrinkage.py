"""Shrinkage against naive optimisation, quadrature, R's ebnm, simulated truth, and its own symmetries."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from scipy.special import erfcx, expit, log_ndtr, logsumexp

from perturbarena.errors import InputError
from perturbarena.stats import shrinkage, shrinkage_fit, shrinkage_kernels
from perturbarena.stats.shrinkage import Prior, fit_prior, normal, point_laplace, point_normal, posterior
from perturbarena.stats.shrinkage_fit import Problem, Theta

FAMILIES = ("point_normal", "point_laplace", "normal")


def simulate(n: int, *, pi0=0.9, scale=0.7, mode=0.0, slab="normal", seed=0):
    """Effects, what is observed of them, and its standard error."""
    rng = np.random.default_rng(seed)
    s = np.exp(rng.normal(-1.0, 0.8, n))
    draw = rng.normal if slab == "normal" else rng.laplace
    theta = mode + np.where(rng.random(n) < pi0, 0.0, draw(0.0, scale, n))
    return theta, theta + s * rng.standard_normal(n), s


def slab_density(family: str, scale: float, mode: float):
    return stats.laplace(mode, scale) if family == "point_laplace" else stats.norm(mode, scale)


def naive_log_likelihood(family, pi0, scale, mode, x, s) -> float:
    """Textbook formulas, straight from the densities."""
    d, c = x - mode, s / scale
    if family == "point_laplace":
        tails = [c * c / 2 - d / scale + log_ndtr(d / s - c), c * c / 2 + d / scale + log_ndtr(-d / s - c)]
        slab = logsumexp(tails, axis=0) - np.log(2 * scale)
    else:
        slab = stats.norm.logpdf(d, 0, np.hypot(s, scale))
    if pi0 > 0:
        slab = np.logaddexp(np.log(pi0) + stats.norm.logpdf(d, 0, s), np.log1p(-pi0) + slab)
    return float(np.sum(slab))


# --- against naive computation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", [0.0, "estimate"])
def test_optimum_is_that_of_a_naive_search(family, mode):
    _, x, s = simulate(150, pi0=0.6, scale=1.5, mode=0.3, slab="laplace", seed=4)
    fitted = fit_prior(family, x, s, mode=mode)

    def loss(q):
        return -naive_log_likelihood(
            family,
            0.0 if family == "normal" else expit(-q[0]),
            np.exp(q[1]),
            q[2] if mode == "estimate" else mode,
            x,
            s,
        )

    starts = [(0.0, 0.0, 0.0), (2.0, -1.0, 0.3), (-2.0, 1.0, 0.3)]
    best = min((optimize.minimize(loss, q, method="L-BFGS-B") for q in starts), key=lambda r: r.fun)
    polished = optimize.minimize(loss, best.x, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-11})
    assert fitted.converged
    assert fitted.log_likelihood >= -polished.fun - 1e-8
    np.testing.assert_allclose(fitted.log_likelihood, -polished.fun, atol=1e-7)
    np.testing.assert_allclose(fitted.scale, np.exp(polished.x[1]), rtol=1e-5)
    if family != "normal":
        np.testing.assert_allclose(fitted.pi0, expit(-polished.x[0]), rtol=1e-5)
    if mode == "estimate":
        np.testing.assert_allclose(fitted.mode, polished.x[2], atol=1e-6)


@pytest.mark.parametrize("family", [shrinkage_kernels.NORMAL, shrinkage_kernels.LAPLACE])
@pytest.mark.parametrize("weighted", [False, True])
def test_derivatives_are_those_of_the_value(family, weighted):
    _, x, s = simulate(200, seed=1)
    weight = np.linspace(0.5, 3, 200) if weighted else np.zeros(0)
    problem = Problem(x, s, family, True, 1, weight)
    theta, h = np.array([-0.7, 0.4, 0.1]), 1e-5
    here = problem.likelihood(Theta(*theta))
    for k in range(3):
        up, down = (problem.likelihood(Theta(*(theta + sign * h * np.eye(3)[k]))) for sign in (1, -1))
        np.testing.assert_allclose(here.gradient[k], (up.value - down.value) / (2 * h), rtol=1e-6, atol=1e-6)
        difference = (up.gradient - down.gradient) / (2 * h)
        np.testing.assert_allclose(here.hessian[k], difference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("u", [-300.0, -13.0, -12.01, -11.99, -5.0, -0.1, 0.0, 1.0, 4.9, 5.1, 30.0])
def test_mills_ratio(u):
    found = np.array(shrinkage_kernels.mills(u))
    found[0] += u**2 / 2 if u > 5 else 0
    log_ratio = np.log(np.sqrt(np.pi / 2) * erfcx(-u / np.sqrt(2)))
    slope = u + np.exp(-log_ratio)
    np.testing.assert_allclose(found, [log_ratio, slope, 1 + u * slope], rtol=1e-6)


def test_mills_ratio_far_out():
    np.testing.assert_allclose(shrinkage_kernels.mills(-1e8), [-8 * np.log(10), 1e-8, 2e-16], rtol=1e-12)
    np.testing.assert_allclose(shrinkage_kernels.mills(1e4), [0.5 * np.log(2 * np.pi), 1e4, 1e8 + 1], rtol=1e-12)


@pytest.mark.parametrize("family", ["point_normal", "point_laplace"])
@pytest.mark.parametrize("mode", [0.0, 0.4, -0.4])
@pytest.mark.parametrize(("x", "s"), [(0.0, 0.3), (1.2, 0.3), (-1.2, 0.3), (6.0, 1.0), (-0.5, 20.0), (0.45, 0.05)])
def test_posterior_is_that_of_quadrature(family, mode, x, s):
    pi0, scale = 0.7, 0.8
    found = posterior(Prior(family, pi0, scale, mode, 0.0, 1, 0, 1, True), [x], s)
    slab = slab_density(family, scale, mode)
    points = np.unique([mode, 0.0, x])

    def moment(f, low=-60.0, high=60.0):
        edges = [low, *(p for p in points if low < p < high), high]
        edges = np.unique(np.concatenate([edges, x + s * np.arange(-8, 9)]).clip(low, high))
        pieces = pairwise(edges)
        return sum(
            integrate.quad(lambda t: f(t) * slab.pdf(t) * stats.norm.pdf(x, t, s), a, b)[0] for a, b in pieces
        )

    spike = pi0 * stats.norm.pdf(x, mode, s)
    total = spike + (1 - pi0) * moment(lambda t: 1.0)
    mean = (spike * mode + (1 - pi0) * moment(lambda t: t)) / total
    variance = (spike * (mode - mean) ** 2 + (1 - pi0) * moment(lambda t: (t - mean) ** 2)) / total
    not_up = (spike * (mode <= 0) + (1 - pi0) * moment(lambda t: 1.0, high=0.0)) / total
    not_down = (spike * (mode >= 0) + (1 - pi0) * moment(lambda t: 1.0, low=0.0)) / total
    np.testing.assert_allclose(found.posterior_mean, mean, atol=1e-7)
    np.testing.assert_allclose(found.posterior_sd, np.sqrt(variance), rtol=1e-6)
    np.testing.assert_allclose(found.lfsr, min(not_up, not_down), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(found.log_likelihood, np.log(total), rtol=1e-7)


# --- against R's ebnm ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ebnm(golden) -> Path:
    return golden / "effects" / "ebnm"


@pytest.fixture(scope="module")
def fits(ebnm) -> dict:
    return json.loads((ebnm / "fits.json").read_text())


@pytest.fixture(scope="module")
def small(ebnm) -> pd.DataFrame:
    return pd.read_csv(ebnm / "ebnm_1e4_default.csv.gz")


def agrees(found, reference: dict) -> None:
    np.testing.assert_allclose(found.pi0, reference["pi0"], rtol=1e-4)
    np.testing.assert_allclose(found.scale, reference["scale"], rtol=1e-4)
    np.testing.assert_allclose(found.mode, reference["mode"], atol=1e-6)
    np.testing.assert_allclose(found.log_likelihood, reference["log_likelihood"], rtol=1e-10)
    # the digits of the input and of the log allow for this much
    assert found.log_likelihood > reference["log_likelihood"] - 1e-6


def test_ebnm_default(small, fits):
    found = point_normal(small.x, small.s)
    agrees(found, fits["fits"]["1e4 default"])
    np.testing.assert_allclose(found.posterior_mean, small["mean"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.posterior_sd, small["sd"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.lfsr, small["lfsr"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("case", "s", "mode"),
    [
        ("1e4 mode=estimate", None, "estimate"),
        ("1e4 s=0.4 scalar", 0.4, 0.0),
        ("1e4 s=sd(x) scalar", "sd", 0.0),
    ],
)
def test_ebnm_options(small, fits, case, s, mode):
    s = small.s if s is None else small.x.std() if s == "sd" else s
    agrees(fit_prior("point_normal", small.x, s, mode=mode), fits["fits"][case])


def test_ebnm_optimisers_reach_no_higher(small, fits):
    best = fit_prior("point_normal", small.x, small.s).log_likelihood
    others = {k: v["log_likelihood"] for k, v in fits["fits"].items() if "optmethod" in k}
    assert len(others) == 5
    assert all(best > value - 1e-8 for value in others.values())


def test_where_ebnm_stops_short_the_likelihood_is_higher(small, fits):
    """With s = 1 for all, ebnm's optimiser fails and it returns π₀ = 1."""
    found = fit_prior("point_normal", small.x, 1.0)
    assert fits["fits"]["1e4 s=1 scalar"]["pi0"] == 1
    assert found.log_likelihood > fits["fits"]["1e4 s=1 scalar"]["log_likelihood"] + 170
    naive = naive_log_likelihood("point_normal", found.pi0, found.scale, 0.0, small.x, np.ones(len(small)))
    np.testing.assert_allclose(found.log_likelihood, naive, rtol=1e-10)


def test_ebnm_nulls(small, fits):
    i = np.arange(1, 10001)
    x = small.s * stats.norm.ppf(((i * 7919) % 10000 + 0.5) / 10000)
    for case, found in [
        ("1e4 pure null", point_normal(x, small.s)),
        ("n5 null tiny", point_normal([0.1, -0.2, 0.05, 0.02, -0.03], 1.0)),
    ]:
        agrees(found, fits["fits"][case])
        assert found.pi0 == 1
        assert not found.posterior_mean.any()
        assert not found.posterior_sd.any()
        assert np.all(found.lfsr == 1)


@pytest.mark.parametrize(("case", "s"), [("1e4 20 x=+-10", None), ("1e4 20 x=+-10 s=1000", 1000.0)])
def test_ebnm_clipped_effects(small, fits, case, s):
    x, se = small.x.to_numpy().copy(), small.s.to_numpy().copy()
    x[:20] = np.resize([10, -10], 20)
    se[:20] = se[:20] if s is None else s
    agrees(point_normal(x, se), fits["fits"][case])


@pytest.mark.parametrize("kind", ["A", "B"])
def test_ebnm_real_effects(ebnm, kind):
    table = pd.read_csv(ebnm / "ebnm_real_lfc.csv.gz")
    table = table[np.isfinite(table[f"s_{kind}"])]
    found = point_normal(table.lfc, table[f"s_{kind}"])
    np.testing.assert_allclose(found.posterior_mean, table[f"pm_{kind}"], rtol=0, atol=1e-5)


def test_ebnm_million(ebnm, fits):
    """The input is simulated anew; the hash tells whether numpy still draws the same numbers."""
    rng = np.random.Generator(np.random.PCG64(31))
    for n, tag in ((10_000, "1e4"), (1_000_000, "1e6")):
        s = np.exp(rng.normal(-1.0, 0.8, n))
        moved = rng.random(n) < 0.08
        x = np.where(moved, rng.normal(0, 0.7, n), 0.0) + s * rng.standard_normal(n)
        if hashlib.sha256(np.c_[x, s].astype("<f8").tobytes()).hexdigest() != fits["input_sha256"][tag]:
            pytest.skip("this numpy draws other numbers than the one that made the golden input")
    found = point_normal(x, s)
    agrees(found, fits["fits"]["1e6 default"])
    table = pd.read_csv(ebnm / "ebnm_1e6_default_every1000.csv.gz")
    np.testing.assert_allclose(found.posterior_mean[::1000], table["mean"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.posterior_sd[::1000], table["sd"], rtol=0, atol=1e-5)


# --- against the truth -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "slab"), [("point_normal", "normal"), ("point_laplace", "laplace")])
def test_prior_is_recovered_and_lfsr_is_calibrated(family, slab):
    theta, x, s = simulate(200_000, pi0=0.85, scale=0.7, slab=slab, seed=7)
    shrink = point_normal if family == "point_normal" else point_laplace
    found = shrink(x, s)
    np.testing.assert_allclose(found.pi0, 0.85, atol=0.01)
    np.testing.assert_allclose(found.scale, 0.7, rtol=0.04)
    claimed = np.where(found.posterior_mean > 0, 1, -1)
    wrong = np.sign(theta) != claimed
    for low, high in [(0, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 0.9), (0.9, 1)]:
        some = (found.lfsr >= low) & (found.lfsr < high)
        expected, sd = found.lfsr[some].sum(), np.sqrt((found.lfsr * (1 - found.lfsr))[some].sum())
        # 4 standard deviations, and 2 % for the error of the estimated prior
        assert abs(wrong[some].sum() - expected) < 4 * sd + 0.02 * expected
    squared_error = np.mean((theta - found.posterior_mean) ** 2)
    np.testing.assert_allclose(np.mean(found.posterior_sd**2), squared_error, rtol=0.03)
    assert squared_error < 0.5 * np.mean((theta - x) ** 2)


def test_normal_prior_with_one_standard_error_has_a_closed_form():
    _, x, _ = simulate(5000, pi0=0, scale=0.7, seed=2)
    found = normal(x, 0.2)
    np.testing.assert_allclose(found.scale**2, np.mean(x**2) - 0.04, rtol=1e-8)
    np.testing.assert_allclose(found.posterior_mean, x * found.scale**2 / (found.scale**2 + 0.04), rtol=1e-9)
    assert found.pi0 == 0
    none = normal(x, 100.0)
    assert (none.pi0, none.scale) == (0, 0)
    assert not none.posterior_mean.any()


def test_no_spike_is_needed_where_all_effects_differ():
    _, x, s = simulate(3000, pi0=0, scale=3, seed=3)
    found, without = point_normal(x, s), normal(x, s)
    assert found.log_likelihood >= without.log_likelihood - 1e-9
    assert found.pi0 < 0.02


# --- large inputs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0.0, "estimate"])
def test_the_subset_changes_nothing(monkeypatch, mode):
    _, x, s = simulate(300_000, pi0=0.97, scale=0.5, seed=5)
    fast = fit_prior("point_normal", x, s, mode=mode)
    monkeypatch.setattr(shrinkage_fit, "SUBSET", 10**9)
    slow = fit_prior("point_normal", x, s, mode=mode)
    assert fast.iterations < slow.iterations + 2
    np.testing.assert_allclose([fast.pi0, fast.scale], [slow.pi0, slow.scale], rtol=1e-8)
    np.testing.assert_allclose(fast.mode, slow.mode, atol=1e-9)


def test_thirty_effects_among_three_hundred_thousand_are_found():
    theta, x, s = simulate(300_000, pi0=1.0, seed=6)
    theta[::10_000] = np.resize([3.0, -3.0], 30)
    s[::10_000] = 0.2
    x[::10_000] = theta[::10_000] + np.random.default_rng(1).normal(0, 0.2, 30)
    found = point_normal(x, s)
    assert np.all(found.lfsr[::10_000] < 1e-6)
    assert (found.lfsr < 0.05).sum() < 40
    assert 15 < (1 - found.pi0) * 300_000 < 100


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_found_where_nothing_is(seed):
    _, x, s = simulate(100_000, pi0=1.0, seed=seed)
    found = point_normal(x, s)
    # no slab, or a slab of next to no width: both say so
    assert np.mean(found.posterior_mean**2) < 1e-4 * np.mean(x**2)
    assert found.lfsr.min() > 0.05
    assert found.log_likelihood >= stats.norm.logpdf(x, 0, s).sum() - 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_change_no_bit(family):
    _, x, s = simulate(120_000, seed=8)
    one, three = (fit_prior(family, x, s, threads=t) for t in (1, 3))
    assert one == three
    for name in ("posterior_mean", "posterior_sd", "lfsr", "log_likelihood"):
        a, b = (getattr(posterior(one, x, s, threads=t), name) for t in (1, 3))
        assert np.array_equal(a, b)


# --- symmetries ------------------------------------------------------------------------------------------------


observations = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        st.lists(st.floats(-50, 50), min_size=n, max_size=n), st.lists(st.floats(0.01, 50), min_size=n, max_size=n)
    )
)


@pytest.mark.parametrize("shrink", [point_normal, point_laplace, normal])
@given(observations)
@settings(max_examples=60)
def test_shrinkage_never_flips_a_sign_nor_lengthens(shrink, data):
    x, s = (np.array(a) for a in data)
    found = shrink(x, s)
    assert np.all(found.posterior_mean * x >= 0)
    assert np.all(np.abs(found.posterior_mean) <= np.abs(x) * (1 + 1e-12) + 1e-300)
    assert np.all((found.lfsr >= 0) & (found.lfsr <= 1))
    assert np.all(np.isfinite(found.posterior_sd) & (found.posterior_sd >= 0))
    assert 0 <= found.pi0 <= 1
    assert found.log_likelihood >= stats.norm.logpdf(x, 0, s).sum() - 1e-9 * max(1, np.sum((x / s) ** 2))


@pytest.mark.parametrize("shrink", [point_normal, point_laplace, normal])
def test_order_sign_and_unit_do_not_matter(shrink):
    _, x, s = simulate(2000, seed=9)
    order = np.random.default_rng(0).permutation(2000)
    here, shuffled, mirrored, larger = (
        shrink(x, s),
        shrink(x[order], s[order]),
        shrink(-x, s),
        shrink(60 * x, 60 * s),
    )
    for other in (shuffled, mirrored, larger):
        np.testing.assert_allclose(other.pi0, here.pi0, rtol=1e-8)
    np.testing.assert_allclose(shuffled.posterior_mean, here.posterior_mean[order], rtol=1e-7)
    np.testing.assert_allclose(mirrored.posterior_mean, -here.posterior_mean, rtol=1e-7)
    np.testing.assert_allclose(larger.scale, 60 * here.scale, rtol=1e-8)
    np.testing.assert_allclose(larger.posterior_sd, 60 * here.posterior_sd, rtol=1e-7)
    np.testing.assert_allclose(larger.lfsr, here.lfsr, rtol=1e-7)
    np.testing.assert_allclose(larger.log_likelihood, here.log_likelihood - 2000 * np.log(60), rtol=1e-10)


def test_estimated_mode_moves_with_the_data():
    _, x, s = simulate(2000, mode=0.5, seed=10)
    here, there = point_normal(x, s, mode="estimate"), point_normal(x + 7, s, mode="estimate")
    np.testing.assert_allclose(there.mode, here.mode + 7, atol=1e-7)
    np.testing.assert_allclose(there.posterior_mean, here.posterior_mean + 7, atol=1e-7)
    fixed = point_normal(x, s, mode=here.mode)
    np.testing.assert_allclose([fixed.pi0, fixed.scale], [here.pi0, here.scale], rtol=1e-6)


def test_a_prior_applies_to_other_effects_in_any_shape():
    _, x, s = simulate(2000, seed=11)
    prior = shrinkage.fit_point_normal(x, s)
    whole, table = posterior(prior, x, s), posterior(prior, x.reshape(50, 40), s.reshape(50, 40))
    assert table.lfsr.shape == (50, 40)
    assert np.array_equal(table.posterior_mean.ravel(), whole.posterior_mean)
    assert np.array_equal(posterior(prior, x[:10], s[:10]).posterior_sd, whole.posterior_sd[:10])
    np.testing.assert_allclose(whole.log_likelihood, prior.log_likelihood, rtol=1e-12)
    turned = point_normal(np.asfortranarray(x.reshape(50, 40)), s.reshape(50, 40).astype(np.float32).astype(float))
    assert turned.posterior_mean.shape == (50, 40)
    assert posterior(prior, 1.5, 0.3).posterior_mean.shape == ()


# --- what is refused, and what is mended -----------------------------------------------------------------------


def test_zero_standard_errors_are_replaced_and_counted():
    _, x, s = simulate(500, seed=12)
    s[[3, 9]] = 0
    found = point_normal(x, s)
    span = x.max() - x.min()
    s[[3, 9]] = min(s[s > 0].min(), span * np.sqrt(np.finfo(float).eps))
    assert found.n_zero_s == 2
    assert np.array_equal(found.posterior_mean, point_normal(x, s).posterior_mean)


@pytest.mark.parametrize(
    ("x", "s", "match"),
    [
        ([[1.0, 2.0], [np.nan, 3.0]], 1.0, r"x must be finite; got nan at position \[1, 0\]"),
        ([1.0, np.inf], 1.0, r"x must be finite; got inf at position \[1\]"),
        ([1.0, 2.0], [1.0, np.nan], r"s must be finite; got nan at position \[1\]"),
        ([1.0, 2.0], [np.inf, 1.0], r"s must be finite; got inf at position \[0\]"),
        ([1.0, 2.0], [1.0, -0.5], r"s must be not negative; got -0\.5 at position \[1\]"),
        ([1.0, 2.0], [1.0, 1.0, 1.0], r"shape of x, \(2,\); got \(3,\)"),
        ([], 1.0, "at least one effect"),
        ([1.0, 1.0], 0.0, "s is 0 at all 2 places"),
    ],
)
def test_refusals(x, s, match):
    with pytest.raises(InputError, match=match):
        point_normal(x, s)


def test_unknown_family_and_mode_are_refused():
    with pytest.raises(InputError, match="unknown prior family 'horseshoe'"):
        fit_prior("horseshoe", [1.0], 1.0)
    for mode in ("estimated", np.nan, None):
        with pytest.raises(InputError, match="mode must be a finite number or 'estimate'"):
            point_normal([1.0], 1.0, mode=mode)


def test_the_door_opens_without_compiled_code():
    code = (
        "import sys, perturbarena.stats as stats; assert 'numba' not in sys.modules; "
        "assert 'point_normal' in stats.__all__; stats.point_normal; assert 'numba' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
