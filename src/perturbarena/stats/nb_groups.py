"""Kernels of the negative-binomial GLM for cells that fall into (batch, perturbed) groups.

The model of gene y in cell i of batch b is ``y ~ NB(mean μ, variance μ + θμ²)``, ``μ = s_i·exp(β_b + x_i·β_p)``
with x = 1 in perturbed cells. It has one coefficient a batch and one for the perturbation, so the normal equations
form an arrowhead and are solved in closed form. The log-likelihood is concave in β for fixed θ, hence Newton steps
with the observed information, limited in length, reach its maximum. Zeros enter through :mod:`zero_sums`; loops
run over non-zero counts and groups only.

Separation: if no perturbed cell of a batch that also holds controls has a count, β_p → −∞ and these cells
contribute nothing in the limit; likewise +∞ where no control has one. Such genes are fitted in that limit.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np

from perturbarena.stats import zero_sums

MAX_STEP: Final = 2.0
"""Longest Newton step in any coefficient, natural-log units."""
TOLERANCE: Final = 1e-7
"""Newton ends when no coefficient moves by more; convergence is quadratic, so the error left is far smaller."""
MAX_ITERATIONS: Final = 100
SE_SEPARATED: Final = 1e6
"""Standard error, natural log, of a coefficient at infinity: so large that shrinkage discards the estimate."""
NO_THETA: Final = -745.0
"""Stands for log 0: exp of it is the smallest positive float64."""

LOG_LARGEST: Final = 600.0
"""Products are cut before their logarithm can pass this; float64 ends at 709."""

ESTIMATED: Final = 0
ZERO_IN_PERTURBED: Final = -1
ZERO_IN_CONTROL: Final = 1
UNINFORMATIVE: Final = 2

_FAST = {"reassoc", "contract", "arcp", "nsz"}


class Side(NamedTuple):
    """Control or perturbed cells in b batches: tables for zeros and the non-zero counts, gene by gene.

    ``counts`` and ``size_factor`` have shape (nnz,), float64; those of gene g in batch k stand at
    ``start[g, k]`` … ``start[g, k + 1]``, ``start`` of shape (genes, b + 1), int64.
    """

    table: np.ndarray
    sums: np.ndarray
    size_factor: np.ndarray
    counts: np.ndarray
    start: np.ndarray


class Fit(NamedTuple):
    """State of one gene's fit, reused from gene to gene: arrays over b batches and 2b groups."""

    total: np.ndarray
    beta: np.ndarray
    active: np.ndarray


@nb.njit(cache=True, nogil=True)
def new_fit(n_batches):
    return Fit(np.zeros((2, n_batches)), np.zeros(n_batches), np.zeros((2, n_batches), np.bool_))


@nb.njit(cache=True, nogil=True)
def log_theta_of(theta):
    return np.log(theta) if theta > 0.0 else NO_THETA


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def count_sums(side, lo, hi, weight):
    """Σ y·p and Σ y·p² over non-zero counts, p = w·s/(1 + w·s)."""
    s, y = side.size_factor[lo:hi], side.counts[lo:hi]
    yp, ypp = 0.0, 0.0
    for i in range(len(s)):  # a slice's own index is known to be in range, so that the loop is vectorised
        x = weight * s[i]
        p = x / (1.0 + x)
        t = y[i] * p
        yp += t
        ypp += t * p
    return yp, ypp


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def weighted_count(side, lo, hi):
    """Σ y·s over non-zero counts."""
    s, y = side.size_factor[lo:hi], side.counts[lo:hi]
    out = 0.0
    for i in range(len(s)):
        out += s[i] * y[i]
    return out


@nb.njit(cache=True, nogil=True, fastmath=_FAST)
def _log_product_ratio(s, top, bottom):
    """Σ log((1 + top·s)/(1 + bottom·s)) of a stretch so short that neither product overflows: two logarithms."""
    above, below = 1.0, 1.0
    for i in range(len(s)):
        above *= 1.0 + top * s[i]
        below *= 1.0 + bottom * s[i]
    return np.log(above) - np.log(below)


@nb.njit(cache=True, nogil=True)
def log_ratio(side, lo, hi, largest_size, top, bottom):
    """Σ y·log((1 + top·s)/(1 + bottom·s)) over non-zero counts whose size factors are at most ``largest_size``."""
    s, y = side.size_factor[lo:hi], side.counts[lo:hi]
    stretch = max(1, int(LOG_LARGEST / (1e-6 + np.log1p(max(top, bottom) * largest_size))))
    out = 0.0
    for first in range(0, len(s), stretch):
        out += _log_product_ratio(s[first : first + stretch], top, bottom)
    for i in range(len(s)):
        if y[i] > 1.0:
            out += (y[i] - 1.0) * np.log((1.0 + top * s[i]) / (1.0 + bottom * s[i]))
    return out


@nb.njit(cache=True, nogil=True)
def group_score(side, gene, batch, total, theta, log_theta, eta):
    """Score and observed information of one group's linear predictor η."""
    if side.sums[batch, 0] == 0.0:
        return 0.0, 0.0
    first, second, _ = zero_sums.slopes(side.table[batch], side.sums[batch], theta, log_theta, eta)
    lo, hi = side.start[gene, batch], side.start[gene, batch + 1]
    if hi == lo or theta == 0.0:
        return total - first, second
    yp, ypp = count_sums(side, lo, hi, np.exp(log_theta + eta))
    return total - yp - first, yp - ypp + second


@nb.njit(cache=True, nogil=True)
def sum_counts(control, perturbed, gene, paired, fit):
    """Fill the totals of each group; return the fit's state (ESTIMATED, …)."""
    in_control, in_perturbed = 0.0, 0.0
    for b in range(len(paired)):
        for k in range(2):
            side = perturbed if k else control
            total = 0.0
            for i in range(side.start[gene, b], side.start[gene, b + 1]):
                total += side.counts[i]
            fit.total[k, b] = total
        if paired[b]:
            in_control += fit.total[0, b]
            in_perturbed += fit.total[1, b]
    state = ESTIMATED
    if in_control == 0.0 and in_perturbed == 0.0:
        state = UNINFORMATIVE
    elif in_perturbed == 0.0:
        state = ZERO_IN_PERTURBED
    elif in_control == 0.0:
        state = ZERO_IN_CONTROL
    for b in range(len(paired)):
        seen = fit.total[0, b] + fit.total[1, b] > 0.0
        fit.active[0, b] = seen and not (paired[b] and state == ZERO_IN_CONTROL)
        fit.active[1, b] = seen and not (paired[b] and state == ZERO_IN_PERTURBED)
    return state


@nb.njit(cache=True, nogil=True)
def start_beta(size_sums, paired, state, fit):
    """Moment start: each batch's log mean rate, and the log ratio of perturbed to expected counts."""
    expected, seen = 0.0, 0.0
    for b in range(len(paired)):
        total = fit.total[0, b] + fit.total[1, b]
        fit.beta[b] = np.log(total / (size_sums[0, b] + size_sums[1, b])) if total > 0.0 else 0.0
        if paired[b] and total > 0.0:
            expected += size_sums[1, b] * np.exp(fit.beta[b])
            seen += fit.total[1, b]
    return np.log(seen / expected) if state == ESTIMATED else 0.0


@nb.njit(cache=True, nogil=True)
def fit_full(control, perturbed, gene, theta, fit, beta_p):
    """Maximise over β_b (in ``fit.beta``) and β_p; return β_p."""
    n = len(fit.beta)
    log_theta = log_theta_of(theta)
    score, info, info_p = np.empty(n), np.empty(n), np.empty(n)
    limit = MAX_STEP
    for iteration in range(MAX_ITERATIONS):
        top, bottom = 0.0, 0.0
        for b in range(n):
            u0, h0, u1, h1 = 0.0, 0.0, 0.0, 0.0
            if fit.active[0, b]:
                u0, h0 = group_score(control, gene, b, fit.total[0, b], theta, log_theta, fit.beta[b])
            if fit.active[1, b]:
                u1, h1 = group_score(perturbed, gene, b, fit.total[1, b], theta, log_theta, fit.beta[b] + beta_p)
            score[b], info[b], info_p[b] = u0 + u1, h0 + h1, h1
            if info[b] > 0.0:
                top += u1 - score[b] * h1 / info[b]
                bottom += h0 * h1 / info[b]
        step_p = min(max(top / bottom, -limit), limit) if bottom > 0.0 else 0.0
        largest = abs(step_p)
        for b in range(n):
            if info[b] > 0.0:
                step = min(max((score[b] - info_p[b] * step_p) / info[b], -limit), limit)
                fit.beta[b] += step
                largest = max(largest, abs(step))
        beta_p += step_p
        if largest < TOLERANCE:
            break
        if iteration > MAX_ITERATIONS // 5:  # a clipped step that overshoots for ever would be cut down here
            limit *= 0.8
    return beta_p


@nb.njit(cache=True, nogil=True)
def fit_reduced(control, perturbed, gene, theta, fit, beta):
    """Maximise over β_b without a perturbation effect; ``beta``, shape (b,), is start and result."""
    log_theta = log_theta_of(theta)
    for b in range(len(beta)):
        if fit.total[0, b] + fit.total[1, b] == 0.0:
            continue
        limit = MAX_STEP
        for iteration in range(MAX_ITERATIONS):
            u0, h0 = group_score(control, gene, b, fit.total[0, b], theta, log_theta, beta[b])
            u1, h1 = group_score(perturbed, gene, b, fit.total[1, b], theta, log_theta, beta[b])
            step = min(max((u0 + u1) / (h0 + h1), -limit), limit)
            beta[b] += step
            if abs(step) < TOLERANCE:
                break
            if iteration > MAX_ITERATIONS // 5:
                limit *= 0.8


@nb.njit(cache=True, nogil=True)
def deviance_gain(control, perturbed, gene, theta, fit, beta_p, beta):
    """Deviance of the reduced model (``beta``) minus that of the full one (``fit.beta``, ``beta_p``)."""
    log_theta = log_theta_of(theta)
    gain = 0.0
    for b in range(len(beta)):
        if fit.total[0, b] + fit.total[1, b] == 0.0:
            continue
        for k in range(2):
            side = perturbed if k else control
            if side.sums[b, 0] == 0.0:
                continue
            gain += zero_sums.value(side.table[b], side.sums[b], theta, log_theta, beta[b])
            if not fit.active[k, b]:
                continue
            eta = fit.beta[b] + k * beta_p
            gain -= zero_sums.value(side.table[b], side.sums[b], theta, log_theta, eta)
            gain += fit.total[k, b] * (eta - beta[b])
            if theta > 0.0:
                lo, hi = side.start[gene, b], side.start[gene, b + 1]
                largest = np.exp(side.sums[b, 5])
                gain += log_ratio(side, lo, hi, largest, np.exp(log_theta + beta[b]), np.exp(log_theta + eta))
    return max(0.0, 2.0 * gain)


@nb.njit(cache=True, nogil=True)
def standard_error(control, perturbed, theta, fit, beta_p):
    """Standard error of β_p: ``1/√Σ_b W_b0·W_b1/(W_b0 + W_b1)``, W the group sums of μ/(1 + θμ)."""
    log_theta = log_theta_of(theta)
    info = 0.0
    for b in range(len(fit.beta)):
        if not (fit.active[0, b] and fit.active[1, b]):
            continue
        if control.sums[b, 0] == 0.0 or perturbed.sums[b, 0] == 0.0:
            continue
        w0, _, _ = zero_sums.slopes(control.table[b], control.sums[b], theta, log_theta, fit.beta[b])
        w1, _, _ = zero_sums.slopes(perturbed.table[b], perturbed.sums[b], theta, log_theta, fit.beta[b] + beta_p)
        info += w0 * w1 / (w0 + w1)
    return 1.0 / np.sqrt(info) if info > 0.0 else SE_SEPARATED
