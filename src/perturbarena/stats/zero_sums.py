"""What a gene's zeros contribute to its likelihood, tabulated once for a group of cells.

All cells of one (batch, perturbed) group share one linear predictor η and differ only in their size factor s_i.
So a gene's zeros enter the negative-binomial likelihood through functions of one variable, v = log θ + η:

    A(v)   = Σ_i log(1 + s_i·eᵛ)
    A'(v)  = Σ_i p_i,             p_i = s_i·eᵛ / (1 + s_i·eᵛ)
    A''(v) = Σ_i p_i·(1 − p_i)

With these tabulated, an iteration visits a gene's non-zero counts and its groups, never all its cells.

Between nodes, A and A' are quintic Hermite interpolants of values, slopes and curvatures at the nodes. The
remainder of such an interpolant is at most ``STEP⁶/46080·max|f⁽⁶⁾|`` (Davis, Interpolation and Approximation,
1975, §3.7); the derivatives of log(1 + eᵛ) from the first to the seventh are below 1, and below eᵛ, so the
relative error of A and A' stays under 1e-10. Left of the grid a power series in eᵛ takes over, which also
keeps A(v)/θ exact as θ goes to 0; right of it the asymptote n·v + Σ log s_i.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numba as nb
import numpy as np

STEP: Final = 0.125
V_LOW: Final = -7.0
V_HIGH: Final = 34.0
N_INTERVALS: Final = round((V_HIGH - V_LOW) / STEP)
N_COEFFICIENTS: Final = 12
"""Six for A and six for A' in each interval."""
N_SUMS: Final = 7
"""Number of cells; Σs, Σs², Σs³, Σs⁴ and Σ log s with s relative to the largest; log of the largest."""


class ZeroSums(NamedTuple):
    """Tables of b groups: ``table`` (b, N_INTERVALS, N_COEFFICIENTS), ``sums`` (b, N_SUMS), float64."""

    table: np.ndarray
    sums: np.ndarray


def tabulate(size_factor: np.ndarray, group_start: np.ndarray) -> ZeroSums:
    """Tables for groups of cells that stand one after the other.

    Parameters
    ----------
    size_factor
        Size factors of the cells, shape (n,), positive, in any common unit.
    group_start
        Where each of the b groups starts, with n at the end, shape (b + 1,). A group may be empty.
    """
    n_groups = len(group_start) - 1
    zero_sums = ZeroSums(np.zeros((n_groups, N_INTERVALS, N_COEFFICIENTS)), np.zeros((n_groups, N_SUMS)))
    for group in range(n_groups):
        cells = np.ascontiguousarray(size_factor[group_start[group] : group_start[group + 1]], np.float64)
        if len(cells):
            _fill(cells, zero_sums.table[group], zero_sums.sums[group])
    return zero_sums


@nb.njit(cache=True, nogil=True)
def _fill(s, table, sums):
    top = s.max()
    for i in range(len(s)):
        x = s[i] / top
        sums[0] += 1.0
        sums[1] += x
        sums[2] += x * x
        sums[3] += x * x * x
        sums[4] += x * x * x * x
        sums[6] += np.log(x)
    sums[5] = np.log(top)
    nodes = np.zeros((N_INTERVALS + 1, 4))
    for j in range(N_INTERVALS + 1):
        e = np.exp(V_LOW + j * STEP) / top
        for i in range(len(s)):
            x = s[i] * e
            q = 1.0 / (1.0 + x)
            p = x * q
            nodes[j, 0] += np.log1p(x)
            nodes[j, 1] += p
            nodes[j, 2] += p * q
            nodes[j, 3] += p * q * (q - p)
    for j in range(N_INTERVALS):
        _quintic(
            nodes[j, 0], nodes[j, 1], nodes[j, 2], nodes[j + 1, 0], nodes[j + 1, 1], nodes[j + 1, 2], table[j, :6]
        )
        _quintic(
            nodes[j, 1], nodes[j, 2], nodes[j, 3], nodes[j + 1, 1], nodes[j + 1, 2], nodes[j + 1, 3], table[j, 6:]
        )


@nb.njit(cache=True, nogil=True)
def _quintic(f0, d0, c0, f1, d1, c1, out):
    """Power coefficients on [0, 1] of the quintic with these values, slopes and curvatures at both ends."""
    d0, d1 = d0 * STEP, d1 * STEP
    c0, c1 = 0.5 * c0 * STEP * STEP, 0.5 * c1 * STEP * STEP
    value, slope, curve = f1 - f0 - d0 - c0, d1 - d0 - 2.0 * c0, c1 - c0
    out[0] = f0
    out[1] = d0
    out[2] = c0
    out[3] = 10.0 * value - 4.0 * slope + curve
    out[4] = -15.0 * value + 7.0 * slope - 2.0 * curve
    out[5] = 6.0 * value - 3.0 * slope + curve


@nb.njit(cache=True, nogil=True, inline="always")
def value(table, sums, theta, log_theta, eta):
    """A(v)/θ of one group, at v = log θ + η; the limit Σμ as θ → 0."""
    v = log_theta + eta + sums[5]
    if v < V_LOW:
        m = np.exp(eta + sums[5])
        x = theta * m
        return m * (sums[1] - x * (sums[2] / 2 - x * (sums[3] / 3 - x * sums[4] / 4)))
    if v >= V_HIGH:
        return (sums[0] * v + sums[6]) / theta
    x = (v - V_LOW) / STEP
    j = int(x)
    t = x - j
    c = table[j]
    return (((((c[5] * t + c[4]) * t + c[3]) * t + c[2]) * t + c[1]) * t + c[0]) / theta


@nb.njit(cache=True, nogil=True, inline="always")
def slopes(table, sums, theta, log_theta, eta):
    """(A', A'', A''')/θ of one group at v = log θ + η; all Σμ in the limit θ → 0."""
    v = log_theta + eta + sums[5]
    if v < V_LOW:
        m = np.exp(eta + sums[5])
        x = theta * m
        return (
            m * (sums[1] - x * (sums[2] - x * (sums[3] - x * sums[4]))),
            m * (sums[1] - x * (2 * sums[2] - x * (3 * sums[3] - x * 4 * sums[4]))),
            m * (sums[1] - x * (4 * sums[2] - x * (9 * sums[3] - x * 16 * sums[4]))),
        )
    if v >= V_HIGH:
        return sums[0] / theta, 0.0, 0.0
    x = (v - V_LOW) / STEP
    j = int(x)
    t = x - j
    c = table[j]
    first = ((((c[11] * t + c[10]) * t + c[9]) * t + c[8]) * t + c[7]) * t + c[6]
    second = (((5 * c[11] * t + 4 * c[10]) * t + 3 * c[9]) * t + 2 * c[8]) * t + c[7]
    third = ((20 * c[11] * t + 12 * c[10]) * t + 6 * c[9]) * t + 2 * c[8]
    return first / theta, second / (STEP * theta), third / (STEP * STEP * theta)
