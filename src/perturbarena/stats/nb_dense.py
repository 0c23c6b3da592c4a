"""The negative-binomial GLM for any design of full rank, cell by cell.

:mod:`nb_glm` needs cells that fall into (batch, perturbed) groups. A continuous covariate (depth, cell-cycle
score, guide dose) breaks the groups up; this module fits such designs at the cost of visiting every cell of every
gene. It holds one gene's counts as a dense row at a time and shares with the grouped path only what comes after
the fits (trend, shrinkage, F test), so it is also the plain implementation that the grouped path is checked
against.

The model of one gene is ``y_i ~ NB(mean μ_i, variance μ_i + θμ_i²)``, ``log μ_i = log s_i + Σ_j x_ij·β_j``
(doi:10.1093/bioinformatics/btaa1009). Internally the design is X = QR and η = √n·Q·γ, which keeps the
information matrix well conditioned whatever the units of the covariates.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np
from scipy import sparse

from perturbarena.errors import InputError
from perturbarena.stats import dispersion, nb_groups, quasi_likelihood
from perturbarena.stats.nb_glm import PerturbationFit

MAX_ITERATIONS: Final = 200
MAX_HALVINGS: Final = 60
MAX_STEP: Final = 5.0
"""Longest Newton step in any cell's linear predictor, natural-log units."""
DECREMENT: Final = 1e-14
"""Newton ends with the step whose expected gain of log-likelihood is below; convergence is quadratic."""
SINGULAR: Final = 1e-15
"""Directions of relatively smaller curvature are left where they are: nothing can be told of them in float64."""
SEPARATED: Final = 1e-11
"""Directions of relatively smaller curvature run to infinity: without bound, only cells without counts oppose."""
NO_GAIN: Final = 1e-9
"""A coefficient at infinity that raises the log-likelihood by less cannot be told from any other value."""
ESTIMABLE: Final = 1e-6
"""Largest share of a coefficient (relative to its length) that may lie along separated directions."""
FEW: Final = 64
"""Counts up to here are summed term by term, beyond by a series that is exact to float64."""


class Optimum(NamedTuple):
    """Coefficients γ (q,), curvature along each axis (q,), axes as columns (q, q)."""

    gamma: np.ndarray
    curvature: np.ndarray
    axes: np.ndarray


def fit_design(counts, design: np.ndarray, *, tested: int, size_factor: np.ndarray) -> PerturbationFit:
    """Fit every gene and test one coefficient of the design.

    The steps and the meaning of the results are those of :func:`nb_glm.fit_perturbation`. ``state`` tells genes
    whose tested coefficient runs to +∞ (``nb_groups.ZERO_IN_CONTROL``) or −∞ (``ZERO_IN_PERTURBED``): no finite
    value maximises the likelihood. They stand at ±``MAX_LOG2FC`` with ``nb_groups.SE_SEPARATED``. Fold changes are
    per unit of the tested column.

    Parameters
    ----------
    counts
        Cells × genes, a scipy sparse matrix or array, raw counts.
    design
        Shape (n, q), finite, of full rank; an intercept is one of its columns.
    tested
        The column whose coefficient is tested.
    size_factor
        Shape (n,), positive, as :func:`size_factors.normed_sum` gives them. Their mean enters the first θ.

    Raises
    ------
    InputError
        If shapes disagree, a value is not finite, the design is not of full rank or has as many columns as cells.
    """
    columns = sparse.csc_array(counts)
    design = np.ascontiguousarray(design, np.float64)
    size_factor = np.ascontiguousarray(size_factor, np.float64)
    _check(np.shape(counts)[0], design, tested, size_factor)
    full, to_tested = _orthogonal(design, tested)
    reduced, _ = _orthogonal(np.ascontiguousarray(np.delete(design, tested, axis=1)), 0)
    arrays = (columns.data.astype(np.float64), columns.indices, columns.indptr.astype(np.int64))
    log_size = np.log(size_factor)

    gamma, mean, theta = _estimate(*arrays, log_size, full, 1.0 / size_factor.mean())
    theta_trend = dispersion.local_median(mean, theta)
    df = design.shape[0] - design.shape[1]
    quasi = quasi_likelihood.shrink(mean, theta, theta_trend, df=df)
    beta, gain, se, state = _test(*arrays, log_size, full, reduced, to_tested, gamma, theta, theta_trend)
    return PerturbationFit.of(beta, se, gain, mean, theta, theta_trend, quasi, state=state, df=df)


def _check(n_cells: int, design: np.ndarray, tested: int, size_factor: np.ndarray) -> None:
    if design.ndim != 2 or design.shape[0] != n_cells or size_factor.shape != (n_cells,):
        raise InputError(
            f"design and size factors need one row for each of the {n_cells} cells; "
            f"got shapes {design.shape} and {size_factor.shape}"
        )
    if not np.isfinite(design).all():
        raise InputError(f"the design needs finite values; {(~np.isfinite(design)).sum()} are not")
    if not (np.isfinite(size_factor).all() and (size_factor > 0).all()):
        raise InputError("size factors need to be positive and finite")
    if not 0 <= tested < design.shape[1]:
        raise InputError(f"the tested column needs to be one of 0 … {design.shape[1] - 1}; got {tested}")
    if n_cells <= design.shape[1]:
        raise InputError(f"the design needs more cells than columns; got {n_cells} and {design.shape[1]}")
    length = np.linalg.norm(design, axis=0)
    rank = int(np.linalg.matrix_rank(design / np.where(length > 0, length, 1.0)))
    if rank < design.shape[1]:
        raise InputError(f"the design needs columns of full rank; its {design.shape[1]} columns have rank {rank}")


def _orthogonal(design: np.ndarray, tested: int) -> tuple[np.ndarray, np.ndarray]:
    """√n·Q, and the vector c with β_tested = c·γ."""
    root_n = np.sqrt(len(design))
    scale = np.linalg.norm(design, axis=0)
    q, r = np.linalg.qr(design / scale)
    if not design.shape[1]:
        return design, np.zeros(0)
    to_tested = np.linalg.solve(r.T, np.eye(len(r))[tested]) / scale[tested]
    return np.ascontiguousarray(q * root_n), to_tested * root_n


@nb.njit(cache=True, nogil=True)
def _likelihood(y, eta, theta):
    """Log-likelihood up to terms without η."""
    out = 0.0
    for i in range(len(y)):
        mu = np.exp(eta[i])
        if theta > 0.0:
            out += y[i] * eta[i] - (y[i] + 1.0 / theta) * np.log1p(theta * mu)
        else:
            out += y[i] * eta[i] - mu
    return out


@nb.njit(cache=True, nogil=True)
def _information(design, weight):
    """XᵀWX."""
    n, q = design.shape
    out = np.zeros((q, q))
    for i in range(n):
        for j in range(q):
            for k in range(j + 1):
                out[j, k] += design[i, j] * weight[i] * design[i, k]
    for j in range(q):
        for k in range(j):
            out[k, j] = out[j, k]
    return out


@nb.njit(cache=True, nogil=True)
def _linear(design, gamma, log_size, out):
    for i in range(len(design)):
        out[i] = log_size[i]
        for j in range(len(gamma)):
            out[i] += design[i, j] * gamma[j]


@nb.njit(cache=True, nogil=True)
def _maximise(y, log_size, design, theta, gamma):
    """γ of highest likelihood for fixed θ: Newton, halving steps that lower it. The likelihood is concave in γ."""
    n, q = design.shape
    gamma = gamma.copy()
    curvature, axes = np.ones(q), np.eye(q)
    if q == 0:
        return Optimum(gamma, curvature, axes)
    eta, new_eta = np.empty(n), np.empty(n)
    residual, weight = np.empty(n), np.empty(n)
    _linear(design, gamma, log_size, eta)
    likelihood = _likelihood(y, eta, theta)
    for _ in range(MAX_ITERATIONS):
        for i in range(n):
            mu = np.exp(eta[i])
            residual[i] = (y[i] - mu) / (1.0 + theta * mu)
            weight[i] = mu * (1.0 + theta * y[i]) / (1.0 + theta * mu) ** 2
        score = np.zeros(q)
        for i in range(n):
            for j in range(q):
                score[j] += design[i, j] * residual[i]
        curvature, eigenvectors = np.linalg.eigh(_information(design, weight))
        axes = np.ascontiguousarray(eigenvectors)
        along = axes.T @ score
        decrement = 0.0
        for j in range(q):
            if curvature[j] > SINGULAR * curvature[-1]:
                decrement += along[j] ** 2 / curvature[j]
                along[j] /= curvature[j]
            else:
                along[j] = 0.0
        step = axes @ along
        longest = np.abs(design @ step).max()
        step *= min(1.0, MAX_STEP / max(longest, 1e-300))
        for _ in range(MAX_HALVINGS):
            new = gamma + step
            _linear(design, new, log_size, new_eta)
            trial = _likelihood(y, new_eta, theta)
            if trial >= likelihood - 1e-12 * (abs(likelihood) + 1.0):
                gamma, likelihood = new, trial
                eta[:] = new_eta
                break
            step *= 0.5
        if decrement < DECREMENT:
            break
    return Optimum(gamma, curvature, axes)


@nb.njit(cache=True, nogil=True)
def _steps(y, log_theta):
    """First and second derivative in log θ of Σ_{k<y} log(1 + kθ)."""
    theta, r = np.exp(log_theta), np.exp(-log_theta)
    first, second = 0.0, 0.0
    for k in range(1, min(int(y), FEW)):
        p = k * theta / (1.0 + k * theta)
        first += p
        second += p * (1.0 - p)
    if y > FEW:
        # Σ_{k=FEW}^{y−1} 1/(k + r) and 1/(k + r)² by Euler–Maclaurin
        a, b = FEW + r, y + r
        inverse = np.log1p((y - FEW) / a) + 0.5 * (1 / a - 1 / b) + (1 / a**2 - 1 / b**2) / 12
        inverse -= (1 / a**4 - 1 / b**4) / 120
        square = (y - FEW) / (a * b) + 0.5 * (1 / a**2 - 1 / b**2) + (1 / a**3 - 1 / b**3) / 6
        square -= (1 / a**5 - 1 / b**5) / 30
        first += (y - FEW) - r * inverse
        second += r * inverse - r * r * square
    return first, second


@nb.njit(cache=True, nogil=True)
def _theta_score(y, mu, design, log_theta):
    """First and second derivative in log θ of the Cox–Reid adjusted log-likelihood."""
    theta = np.exp(log_theta)
    n = len(y)
    w, w1, w2 = np.empty(n), np.empty(n), np.empty(n)
    u, h = 0.0, 0.0
    for i in range(n):
        x = theta * mu[i]
        p = x / (1.0 + x)
        w[i] = mu[i] / (1.0 + x)
        w1[i] = -w[i] * p
        w2[i] = -w[i] * p * (1.0 - 2.0 * p)
        first, second = _steps(y[i], log_theta)
        u += first + np.log1p(x) / theta - w[i] - y[i] * p
        h += second - np.log1p(x) / theta + w[i] + w[i] * p - y[i] * p * (1.0 - p)
    inverse = np.linalg.inv(_information(design, w))
    change = inverse @ _information(design, w1)
    u -= dispersion.COX_REID * np.trace(change)
    h -= dispersion.COX_REID * (np.trace(inverse @ _information(design, w2)) - np.trace(change @ change))
    return u, h


@nb.njit(cache=True, nogil=True)
def _theta_slope_at_zero(y, mu, design):
    """Derivative of the adjusted log-likelihood in θ at θ = 0."""
    u = 0.0
    for i in range(len(y)):
        u += 0.5 * (y[i] * (y[i] - 1.0) + mu[i] ** 2) - y[i] * mu[i]
    change = np.linalg.inv(_information(design, mu)) @ _information(design, -(mu**2))
    return u - dispersion.COX_REID * np.trace(change)


@nb.njit(cache=True, nogil=True)
def _maximise_theta(y, mu, design, start):
    """θ of highest adjusted likelihood for fixed μ: Newton on log θ, bisecting where it leaves the bracket."""
    if _theta_slope_at_zero(y, mu, design) <= 0.0:
        return 0.0
    low, high = dispersion.LOG_THETA_LOW, dispersion.LOG_THETA_HIGH
    x = np.log(start) if start > np.exp(low) else np.log(dispersion.START)
    for _ in range(MAX_ITERATIONS):
        u, h = _theta_score(y, mu, design, x)
        if u > 0.0:
            low = x
        else:
            high = x
        step = -u / h if h < 0.0 else (1.0 if u > 0.0 else -1.0)
        new = x + min(max(step, -dispersion.MAX_STEP), dispersion.MAX_STEP)
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - x) < dispersion.TOLERANCE:
            return np.exp(new)
        x = new
    return np.exp(x)


@nb.njit(cache=True, nogil=True)
def _row(count, cell, start, gene, y):
    y[:] = 0.0
    for i in range(start[gene], start[gene + 1]):
        y[cell[i]] += count[i]
    return y.sum()


@nb.njit(cache=True, nogil=True)
def _constant(design, level):
    """γ whose linear predictor is nearest to the same level in all cells."""
    return (np.ones(len(design)) @ design) * (level / len(design))


@nb.njit(cache=True, nogil=True)
def _bounded(design, optimum):
    """The design along the directions that do not run to infinity, the only ones θ depends on."""
    kept = np.flatnonzero(optimum.curvature > SEPARATED * optimum.curvature.max())
    return np.ascontiguousarray(design @ np.ascontiguousarray(optimum.axes[:, kept]))


@nb.njit(cache=True, nogil=True)
def _estimate(count, cell, start, log_size, design, inverse_mean_size):
    """First fit and overdispersion of every gene: γ, mean μ, θ."""
    n, q = design.shape
    n_genes = len(start) - 1
    gammas, means, thetas = np.zeros((n_genes, q)), np.zeros(n_genes), np.zeros(n_genes)
    y, eta = np.empty(n), np.empty(n)
    total_size = np.exp(log_size).sum()
    for gene in range(n_genes):
        total = _row(count, cell, start, gene, y)
        if total == 0.0:
            continue
        average = total / n
        variance = ((y - average) ** 2).sum() / (n - 1.0)
        first_theta = max(0.0, (variance - inverse_mean_size * average) / average**2)
        optimum = _maximise(y, log_size, design, first_theta, _constant(design, np.log(total / total_size)))
        _linear(design, optimum.gamma, log_size, eta)
        mu = np.exp(eta)
        gammas[gene], means[gene] = optimum.gamma, mu.mean()
        moment = (variance - average) / average**2
        thetas[gene] = _maximise_theta(y, mu, _bounded(design, optimum), moment)
    return gammas, means, thetas


@nb.njit(cache=True, nogil=True)
def _gain(y, eta, reduced_eta, theta):
    """Deviance of the reduced model minus that of the full one."""
    gain = 0.0
    for i in range(len(y)):
        mu, reduced_mu = np.exp(eta[i]), np.exp(reduced_eta[i])
        gain += y[i] * (eta[i] - reduced_eta[i])
        if theta > 0.0:
            gain -= (y[i] + 1.0 / theta) * (np.log1p(theta * mu) - np.log1p(theta * reduced_mu))
        else:
            gain -= mu - reduced_mu
    return max(0.0, 2.0 * gain)


@nb.njit(cache=True, nogil=True)
def _standard_error(eta, design, theta, to_tested):
    """Standard error of c·γ from (XᵀWX)⁻¹, W = μ/(1 + θμ); SE_SEPARATED where it is at infinity."""
    mu = np.exp(eta)
    curvature, axes = np.linalg.eigh(_information(design, mu / (1.0 + theta * mu)))
    along = np.ascontiguousarray(axes.T) @ to_tested
    variance, at_infinity = 0.0, 0.0
    for j in range(len(along)):
        if curvature[j] > SEPARATED * curvature[-1]:
            variance += along[j] ** 2 / curvature[j]
        else:
            at_infinity += along[j] ** 2
    if at_infinity > ESTIMABLE**2 * (along**2).sum():
        return nb_groups.SE_SEPARATED
    return np.sqrt(variance)


@nb.njit(cache=True, nogil=True)
def _test(count, cell, start, log_size, design, reduced_design, to_tested, gammas, theta, theta_trend):
    """Refit with the trend, fit the reduced model: β, deviance gain, standard error (natural log), state."""
    n, _ = design.shape
    n_genes = len(start) - 1
    beta, gain = np.zeros(n_genes), np.zeros(n_genes)
    se = np.full(n_genes, nb_groups.SE_SEPARATED)
    state = np.full(n_genes, nb_groups.UNINFORMATIVE, np.int64)
    y, eta, reduced_eta = np.empty(n), np.empty(n), np.empty(n)
    total_size = np.exp(log_size).sum()
    for gene in range(n_genes):
        total = _row(count, cell, start, gene, y)
        if total == 0.0:
            continue
        optimum = _maximise(y, log_size, design, theta_trend[gene], gammas[gene])
        _linear(design, optimum.gamma, log_size, eta)
        level = np.log(total / total_size)
        reduced = _maximise(y, log_size, reduced_design, theta_trend[gene], _constant(reduced_design, level))
        _linear(reduced_design, reduced.gamma, log_size, reduced_eta)
        gain[gene] = _gain(y, eta, reduced_eta, theta_trend[gene])
        se[gene] = _standard_error(eta, design, theta[gene], to_tested)
        value = to_tested @ optimum.gamma
        if se[gene] < nb_groups.SE_SEPARATED:
            state[gene], beta[gene] = nb_groups.ESTIMATED, value
        elif gain[gene] > NO_GAIN:
            state[gene] = nb_groups.ZERO_IN_CONTROL if value > 0.0 else nb_groups.ZERO_IN_PERTURBED
    return beta, gain, se, state
