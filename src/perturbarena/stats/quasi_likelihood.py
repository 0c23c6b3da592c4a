"""Quasi-likelihood: shrink each gene's overdispersion relative to the trend, and test with an F statistic.

A gene's quasi-dispersion ``q = (1 + mθ)/(1 + m·trend)``, m its mean, is taken for v times an F(df, df0) variable,
v following expression as a natural cubic spline of log m. Its posterior ``(df0·v + df·q)/(df0 + df)`` scales the
deviance difference. Sources: Lund et al. 2012 (doi:10.1515/1544-6115.1826); Ahlmann-Eltze & Huber 2020
(doi:10.1093/bioinformatics/btaa1009).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy import special

from perturbarena.errors import InputError

MIN_GENES_FOR_TREND: Final = 100
MIN_MEAN: Final = 1e-8
"""Genes of smaller mean do not enter the spline."""
MIN_ON_SPLINE: Final = 10
LOG_DF0_MAX: Final = np.log(1e10)
"""Beyond it the prior is a point: quasi-dispersions vary no more than their estimation error."""


@dataclass(frozen=True, slots=True)
class QuasiDispersion:
    """Quasi-dispersion of G genes: raw ``estimate``, prior ``trend``, ``shrunken``, shape (G,); prior ``df0``."""

    estimate: np.ndarray
    trend: np.ndarray
    shrunken: np.ndarray
    df0: float


class FPrior(NamedTuple):
    """Scale v of each observation, shape (n,), denominator degrees of freedom, and the log-likelihood."""

    scale: np.ndarray
    df0: float
    log_likelihood: float


def shrink(mean: np.ndarray, theta: np.ndarray, theta_trend: np.ndarray, *, df: int) -> QuasiDispersion:
    """Empirical-Bayes quasi-dispersions.

    Parameters
    ----------
    mean, theta, theta_trend
        Mean of fitted μ, overdispersion and its trend, shape (G,).
    df
        Residual degrees of freedom, cells minus coefficients.

    Raises
    ------
    InputError
        If no degrees of freedom are left.
    """
    if df <= 0:
        raise InputError(f"the design needs more cells than coefficients; {df} degrees of freedom are left")
    estimate = (1.0 + mean * theta) / (1.0 + mean * theta_trend)
    if np.all(estimate == 1.0):
        return QuasiDispersion(estimate, np.ones_like(estimate), estimate, np.inf)
    on_spline = mean > MIN_MEAN
    intercept = np.ones((len(mean), 1))
    if len(mean) < MIN_GENES_FOR_TREND or on_spline.sum() < MIN_ON_SPLINE:
        trend, df0, _ = fit_f(estimate, df, intercept)
    else:
        trend = np.ones_like(mean)
        if not on_spline.all():
            trend = fit_f(estimate, df, intercept).scale.copy()
        trend[on_spline], df0, _ = fit_f(estimate[on_spline], df, _trend_basis(np.log(mean[on_spline])))
    shrunken = (df0 * trend + df * estimate) / (df0 + df) if np.isfinite(df0) else trend
    return QuasiDispersion(estimate, trend, shrunken, df0)


def f_test(deviance_gain: np.ndarray, quasi: QuasiDispersion, *, df: int) -> np.ndarray:
    """p of ``F = deviance_gain / shrunken`` on 1 and df0 + df degrees of freedom, shape (G,)."""
    statistic = deviance_gain / quasi.shrunken
    if not np.isfinite(quasi.df0):
        return special.chdtrc(1.0, statistic)
    return special.fdtrc(1.0, quasi.df0 + df, statistic)


def _trend_basis(log_mean: np.ndarray) -> np.ndarray:
    """The spline, or an intercept alone where too few distinct means carry it."""
    if log_mean.min() < log_mean.max():
        basis = natural_spline(log_mean)
        if np.linalg.matrix_rank(basis) == basis.shape[1]:
            return basis
    return np.ones((len(log_mean), 1))


def natural_spline(x: np.ndarray) -> np.ndarray:
    """Basis (n, 4) of the natural cubic splines with boundary knots at x's range, inner ones at its thirds."""
    low, high = x.min(), x.max()
    knots = low + (high - low) * np.array([0.0, 1 / 3, 2 / 3, 1.0])
    cubes = np.maximum(x[:, None] - knots, 0.0) ** 3
    slope = (cubes[:, :3] - cubes[:, 3:]) / (knots[3] - knots[:3])
    return np.column_stack([np.ones_like(x), x, slope[:, 0] - slope[:, 2], slope[:, 1] - slope[:, 2]])


def fit_f(values: np.ndarray, df: float, basis: np.ndarray) -> FPrior:
    """Maximum likelihood of ``values = v·F(df, df0)``, ``log v = basis·β``, by Newton with step halving.

    Parameters
    ----------
    values
        Positive, shape (n,).
    basis
        Columns of full rank, shape (n, k).
    """
    orthogonal = np.linalg.qr(basis)[0] * np.sqrt(len(values))
    log_values = np.log(values)
    parameter = np.r_[orthogonal.T @ log_values / len(values), np.log(100.0)]
    likelihood, gradient, hessian = _f_likelihood(parameter, log_values, df, orthogonal)
    for _ in range(200):
        step = _ascent(gradient, hessian)
        while True:
            new = parameter + step
            new[-1] = min(new[-1], LOG_DF0_MAX)
            trial = _f_likelihood(new, log_values, df, orthogonal)
            if trial[0] >= likelihood - 1e-12 * abs(likelihood) or np.abs(step).max() < 1e-10:
                break
            step = step / 2
        moved = np.abs(new - parameter).max()
        parameter, (likelihood, gradient, hessian) = new, trial
        if moved < 1e-9:
            break
    df0 = float(np.exp(parameter[-1])) if parameter[-1] < LOG_DF0_MAX else np.inf
    return FPrior(np.exp(orthogonal @ parameter[:-1]), df0, float(likelihood))


def _ascent(gradient: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Newton's step with every curvature made negative, no longer than 2 in any parameter."""
    curvature, axes = np.linalg.eigh(-hessian)
    curvature = np.maximum(np.abs(curvature), 1e-10 * np.abs(curvature).max())
    step = axes @ ((axes.T @ gradient) / curvature)
    return step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))


def _f_likelihood(
    parameter: np.ndarray, log_values: np.ndarray, df: float, basis: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log-likelihood, gradient and Hessian in (β, log df0)."""
    n, df0 = len(log_values), np.exp(parameter[-1])
    z = log_values - basis @ parameter[:-1]
    u = df * np.exp(z) / df0
    p, log1p_u = u / (1.0 + u), np.log1p(u)
    half = 0.5 * (df + df0)
    constant = -special.betaln(df / 2, df0 / 2) + 0.5 * df * np.log(df / df0)
    value = n * constant + np.sum(0.5 * df * z - half * log1p_u) - log_values.sum()

    in_z, in_zz = 0.5 * df - half * p, -half * p * (1.0 - p)
    in_df = n * 0.5 * (special.digamma(half) - special.digamma(df0 / 2) - df / df0)
    in_df += np.sum(-0.5 * log1p_u + half * p / df0)
    in_df_df = n * (0.25 * (special.polygamma(1, half) - special.polygamma(1, df0 / 2)) + 0.5 * df / df0**2)
    in_df_df += np.sum(p / df0 - half * p * (2.0 - p) / df0**2)
    in_z_df = -0.5 * p + half * p * (1.0 - p) / df0

    gradient = np.r_[-basis.T @ in_z, in_df * df0]
    hessian = np.empty((len(parameter), len(parameter)))
    hessian[:-1, :-1] = basis.T @ (in_zz[:, None] * basis)
    hessian[:-1, -1] = hessian[-1, :-1] = -(basis.T @ in_z_df) * df0
    hessian[-1, -1] = in_df_df * df0**2 + in_df * df0
    return float(value), gradient, hessian
