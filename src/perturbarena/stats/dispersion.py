"""Overdispersion: the Cox–Reid adjusted maximum-likelihood estimate of one gene, and its trend over genes.

For fixed means μ, θ maximises

    ℓ(θ) = Σ_i [Σ_{k<y_i} log(1 + kθ) + y_i·log μ_i − (y_i + 1/θ)·log(1 + θμ_i)] − 0.495·log|XᵀWX|,  W = μ/(1 + θμ)

on the scale log θ (doi:10.1093/bioinformatics/btaa1009; the adjustment: Cox & Reid 1987,
doi:10.1111/j.2517-6161.1987.tb01422.x). Sums over small counts use how many counts exceed k, so no digamma is
needed; the determinant of ``~ batch + perturbed`` is ``Π_b W_b · Σ_b W_b0·W_b1/W_b``.
"""

from __future__ import annotations

from typing import Final

import numba as nb
import numpy as np

from perturbarena.stats import zero_sums
from perturbarena.stats.nb_groups import count_sums, weighted_count

COX_REID: Final = 0.5 * 0.99
"""Factor of log|XᵀWX|; the reference takes 99 % of the exact 1/2."""
CAP: Final = 64
"""Counts up to here are summed term by term; beyond it a digamma series is exact to float64."""
LOG_THETA_LOW: Final = np.log(1e-8)
LOG_THETA_HIGH: Final = np.log(1e16)
TOLERANCE: Final = 1e-6
"""Newton ends when log θ moves by less; convergence is quadratic."""
MAX_STEP: Final = 2.5
START: Final = 0.5
"""Where the search starts when the moment estimate is not above the search's lower end; rounding may make a zero
slightly positive."""


@nb.njit(cache=True, nogil=True)
def count_above(control, perturbed, gene, exceed):
    """Fill ``exceed[k]`` with the number of counts above k, 1 ≤ k < CAP; return Σy, Σy², max y."""
    exceed[:] = 0.0
    total, squares, largest = 0.0, 0.0, 0.0
    for k in range(2):
        side = perturbed if k else control
        for i in range(side.start[gene, 0], side.start[gene, -1]):
            y = side.counts[i]
            total += y
            squares += y * y
            largest = max(largest, y)
            if y > 1.0:
                exceed[min(int(y), CAP) - 1] += 1.0
    for k in range(CAP - 2, -1, -1):
        exceed[k] += exceed[k + 1]
    return total, squares, largest


@nb.njit(cache=True, nogil=True)
def _large_counts(side, lo, hi, log_theta):
    """Σ_{k=CAP}^{y−1} kθ/(1 + kθ) over counts above CAP, and its derivative in log θ."""
    r = np.exp(-log_theta)
    score, slope = 0.0, 0.0
    a = CAP + r
    for i in range(lo, hi):
        y = side.counts[i]
        if y <= CAP:
            continue
        b = y + r
        digamma = np.log1p((y - CAP) / a) - 0.5 * (1 / b - 1 / a) - (1 / b**2 - 1 / a**2) / 12
        digamma += (1 / b**4 - 1 / a**4) / 120
        trigamma = (1 / a - 1 / b) + 0.5 * (1 / a**2 - 1 / b**2) + (1 / a**3 - 1 / b**3) / 6
        trigamma -= (1 / a**5 - 1 / b**5) / 30
        score += (y - CAP) - r * digamma
        slope += r * digamma - r * r * trigamma
    return score, slope


@nb.njit(cache=True, nogil=True)
def _score(control, perturbed, gene, fit, beta_p, exceed, largest, log_theta):
    """First and second derivative in log θ of the adjusted log-likelihood."""
    theta = np.exp(log_theta)
    u, h = 0.0, 0.0
    for k in range(1, min(int(largest), CAP)):
        q = 1.0 / (1.0 + k * theta)
        u += exceed[k] * k * theta * q
        h += exceed[k] * k * theta * q * q
    det_d, det_dd = 0.0, 0.0
    s, s_d, s_dd = 0.0, 0.0, 0.0
    w, w_d, w_dd = np.zeros(2), np.zeros(2), np.zeros(2)
    for b in range(len(fit.beta)):
        w[:], w_d[:], w_dd[:] = 0.0, 0.0, 0.0
        for k in range(2):
            side = perturbed if k else control
            if not fit.active[k, b] or side.sums[b, 0] == 0.0:
                continue
            eta = fit.beta[b] + k * beta_p
            a0 = zero_sums.value(side.table[b], side.sums[b], theta, log_theta, eta)
            a1, a2, a3 = zero_sums.slopes(side.table[b], side.sums[b], theta, log_theta, eta)
            lo, hi = side.start[gene, b], side.start[gene, b + 1]
            yp, ypp = count_sums(side, lo, hi, np.exp(log_theta + eta))
            u += a0 - a1 - yp
            h += -a0 + 2 * a1 - a2 - (yp - ypp)
            w[k], w_d[k], w_dd[k] = a1, a2 - a1, a3 - 2 * a2 + a1
            if largest > CAP:
                u_large, h_large = _large_counts(side, lo, hi, log_theta)
                u += u_large
                h += h_large
        both = w[0] + w[1]
        if both > 0.0:
            rate = (w_d[0] + w_d[1]) / both
            det_d += rate
            det_dd += (w_dd[0] + w_dd[1]) / both - rate * rate
        if w[0] > 0.0 and w[1] > 0.0:
            x0, x1 = w[0] / both, w[1] / both
            s += w[0] * x1
            s_d += w_d[0] * x1 * x1 + w_d[1] * x0 * x0
            s_dd += w_dd[0] * x1 * x1 + w_dd[1] * x0 * x0 - 2.0 / both * (w_d[0] * x1 - w_d[1] * x0) ** 2
    if s > 0.0:
        det_d += s_d / s
        det_dd += s_dd / s - (s_d / s) ** 2
    return u - COX_REID * det_d, h - COX_REID * det_dd


@nb.njit(cache=True, nogil=True)
def _slope_at_zero(control, perturbed, gene, fit, beta_p, exceed, largest):
    """Derivative of the adjusted log-likelihood in θ at θ = 0; not positive: the estimate is 0."""
    u = 0.0
    for k in range(1, min(int(largest), CAP)):
        u += exceed[k] * k
    det_d, s, s_d = 0.0, 0.0, 0.0
    w, w_d = np.zeros(2), np.zeros(2)
    for b in range(len(fit.beta)):
        w[:], w_d[:] = 0.0, 0.0
        for k in range(2):
            side = perturbed if k else control
            if not fit.active[k, b] or side.sums[b, 0] == 0.0:
                continue
            mean = np.exp(fit.beta[b] + k * beta_p)
            scaled = mean * np.exp(side.sums[b, 5])
            w[k], w_d[k] = scaled * side.sums[b, 1], -scaled * scaled * side.sums[b, 2]
            lo, hi = side.start[gene, b], side.start[gene, b + 1]
            u -= mean * weighted_count(side, lo, hi) + 0.5 * w_d[k]
            if largest > CAP:
                for i in range(lo, hi):
                    y = side.counts[i]
                    if y > CAP:
                        u += 0.5 * (y * (y - 1.0) - CAP * (CAP - 1.0))
        both = w[0] + w[1]
        if both > 0.0:
            det_d += (w_d[0] + w_d[1]) / both
        if w[0] > 0.0 and w[1] > 0.0:
            s += w[0] * w[1] / both
            s_d += (w_d[0] * w[1] ** 2 + w_d[1] * w[0] ** 2) / both**2
    if s > 0.0:
        det_d += s_d / s
    return u - COX_REID * det_d


@nb.njit(cache=True, nogil=True)
def maximum_likelihood(control, perturbed, gene, fit, beta_p, exceed, largest, start):
    """θ of one gene by Newton on log θ within a shrinking bracket; 0 where the likelihood falls from 0 on."""
    if _slope_at_zero(control, perturbed, gene, fit, beta_p, exceed, largest) <= 0.0:
        return 0.0
    low, high = LOG_THETA_LOW, LOG_THETA_HIGH
    x = np.log(start) if start > np.exp(LOG_THETA_LOW) else np.log(START)
    for _ in range(100):
        u, h = _score(control, perturbed, gene, fit, beta_p, exceed, largest, x)
        if u > 0.0:
            low = x
        else:
            high = x
        step = -u / h if h < 0.0 else (1.0 if u > 0.0 else -1.0)
        new = x + min(max(step, -MAX_STEP), MAX_STEP)
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - x) < TOLERANCE:
            return np.exp(new)
        x = new
    return np.exp(x)


def local_median(mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Trend of overdispersion over expression: a weighted median over genes of similar mean.

    Genes are ordered by mean. Each takes the weighted median of the θ in a window of max(0.1·G, 100) genes around
    it, with weights φ(−3 … 3); genes nearer to an end than half a window take the nearest full window's. With
    fewer genes than a window all take one weighted median, interpolated if their number is even (sic: so the
    reference has it).

    Parameters
    ----------
    mean, theta
        Mean of fitted μ and overdispersion of each gene, shape (G,).

    Returns
    -------
    np.ndarray
        The trend, shape (G,).
    """
    n = len(mean)
    half = min(int(max(0.1 * n, 100) // 2), n // 2)
    order = np.argsort(_rounded(mean), kind="stable")
    ordered = theta[order]
    if n - half < half + 1:
        return np.full(n, _interpolated_median(ordered, _normal_weights(n)))
    by_theta = np.argsort(ordered, kind="stable")
    rank = np.empty(n, np.int32)
    rank[by_theta] = np.arange(n, dtype=np.int32)
    median = ordered[by_theta[_running_median(rank, _normal_weights(2 * half + 1))]]
    trend = np.empty(n)
    trend[order] = np.r_[np.full(half, median[0]), median, np.full(half, median[-1])]
    return trend


def _rounded(mean: np.ndarray) -> np.ndarray:
    """Means on a grid of log 1e-7, so that rounding errors do not order genes whose means are the same."""
    with np.errstate(divide="ignore"):
        return np.round(np.log(mean) * 1e7)


def _normal_weights(n: int) -> np.ndarray:
    return np.exp(-0.5 * np.linspace(-3, 3, n) ** 2)


def _interpolated_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    middle = np.cumsum(weights[order]) - 0.5 * weights[order]
    return float(np.interp(0.5 * weights.sum(), middle, values[order]))


@nb.njit(cache=True, nogil=True)
def _weight_of(rank, weights, lo, value):
    """Weight of the window's ranks below ``value``, and at it."""
    below, at = 0.0, 0.0
    for j in range(len(weights)):
        below += weights[j] * (rank[lo + j] < value)
        at += weights[j] * (rank[lo + j] == value)
    return below, at


@nb.njit(cache=True, nogil=True)
def _running_median(rank, weights):
    """Rank of the weighted median of each full window; it is sought from the previous window's."""
    width = len(weights)
    n = len(rank) - width + 1
    out = np.empty(n, np.int32)
    half = 0.5 * weights.sum()
    median = rank[width // 2]
    for lo in range(n):
        below, at = _weight_of(rank, weights, lo, median)
        while below >= half:
            neighbour = np.int32(-1)
            for j in range(width):
                r = rank[lo + j]
                neighbour = max(neighbour, r if r < median else np.int32(-1))
            median = neighbour
            below, at = _weight_of(rank, weights, lo, median)
        while below + at < half:
            neighbour = np.int32(len(rank))
            for j in range(width):
                r = rank[lo + j]
                neighbour = min(neighbour, r if r > median else np.int32(len(rank)))
            median = neighbour
            below, at = _weight_of(rank, weights, lo, median)
        out[lo] = median
    return out
