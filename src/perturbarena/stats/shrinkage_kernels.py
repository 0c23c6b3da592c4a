"""Compiled sums over observations for empirical-Bayes shrinkage.

An effect θ has the prior ``π₀·δ_μ + (1 − π₀)·G(θ − μ; τ)`` and is observed as ``x ~ N(θ, s²)``. Everything below
works with the ratio of the marginal likelihoods of slab and spike, ``e^r = ∫N(x; θ, s²)dG / N(x; μ, s²)``, in the
parameters a = logit(1 − π₀), b = log τ² and μ. With p = 1/(1 + e^−(a + r)), the posterior weight of the slab,

    ℓ = log N(x; μ, s²) + log(π₀ + (1 − π₀)·e^r)      ∂ℓ/∂a = p − (1 − π₀)      ∂ℓ/∂b = p·∂r/∂b

and with f the slab's marginal density ∂ℓ/∂μ = (1 − p)·(x − μ)/s² + p·∂log f/∂μ. So a slab is described by r and
log f and their derivatives.

Sums run over chunks of fixed length, one row of results each, and the caller adds the rows in order. The result
therefore does not depend on how chunks are dealt to threads.
"""

from __future__ import annotations

from math import erfc, exp, expm1, inf, log, log1p, pi, sqrt
from typing import Final

import numba as nb
import numpy as np

NORMAL: Final = 0
LAPLACE: Final = 1

CHUNK: Final = 16384
"""Observations per row of sums."""
N_SUMS: Final = 10
"""Value, three first derivatives (a, b, μ), six second ones (aa, ab, aμ, bb, bμ, μμ)."""
N_FACTS: Final = 6
LIMIT: Final = 1e70
"""|x| and s must lie below, and s > 0 above its inverse, so that squares and their ratios are representable."""
MAX_LOG_RATIO: Final = 600.0
"""Cap on r where e^r itself is summed: far beyond certainty, far below overflow even when squared and halved."""

_ROOT_HALF: Final = sqrt(0.5)
_ROOT_HALF_PI: Final = sqrt(pi / 2)
_HALF_LOG_2PI: Final = 0.5 * log(2 * pi)
_ASYMPTOTIC_FROM: Final = 12.0
"""Where 22 terms of the asymptotic series of Mills' ratio reach double precision (DLMF 7.12.1)."""
_ASYMPTOTIC_TERMS: Final = 22
_SATURATED: Final = 5.0
"""Where Mills' ratio is kept as a logarithm, as e^(u²/2) will overflow further right."""


@nb.njit(cache=True, nogil=True)
def survey(x, s, first, facts):
    """Facts of every chunk: Σ log s, min x, max x, least s > 0, zeros in s, first bad place or −1."""
    for chunk in range(len(facts)):
        lo, hi = (first + chunk) * CHUNK, min(len(x), (first + chunk + 1) * CHUNK)
        log_s, low, high, least, zeros, bad = 0.0, inf, -inf, inf, 0, -1
        for i in range(lo, hi):
            # written so that NaN fails it too
            if not (abs(x[i]) < LIMIT and (s[i] == 0.0 or 1.0 / LIMIT < s[i] < LIMIT)):
                bad = i if bad < 0 else bad
                continue
            low, high = min(low, x[i]), max(high, x[i])
            if s[i] == 0.0:
                zeros += 1
                continue
            least = min(least, s[i])
            log_s += log(s[i])
        facts[chunk, 0], facts[chunk, 1], facts[chunk, 2] = log_s, low, high
        facts[chunk, 3], facts[chunk, 4], facts[chunk, 5] = least, zeros, bad


@nb.njit(cache=True, nogil=True)
def mark_far(x, s, mu, distance, first, rows, far):
    """Whether x lies further than ``distance`` standard errors from μ, for the chunks that ``rows`` stand for."""
    for i in range(first * CHUNK, min(len(x), (first + len(rows)) * CHUNK)):
        far[i] = abs(x[i] - mu) > distance * s[i]


@nb.njit(cache=True, nogil=True)
def _normal_slab(d, s, variance):
    """log f, r, ∂r/∂b, ∂²r/∂b², ∂log f/∂μ, ∂²log f/∂μ², ∂²r/∂b∂μ of the slab N(μ, τ²); d = x − μ, variance = τ².

    The density f, as everywhere here, lacks the factor 1/(s√2π).
    """
    v = s * s
    inv_total = 1.0 / (v + variance)
    inv_v = 1.0 / v
    k = variance * inv_total
    q = d * d * inv_total
    log_root = 0.5 * log(v * inv_total)
    r = log_root + 0.5 * d * d * inv_v * k
    r_bb = 0.5 * k * ((1.0 - k) * (q - 1.0) - k * q)
    f_m = d * inv_total
    return log_root - 0.5 * q, r, 0.5 * k * (q - 1.0), r_bb, f_m, -inv_total, -f_m * k


@nb.njit(cache=True, nogil=True)
def mills(u):
    """log R, R′/R and R″/R of ``R(u) = Φ(u)/φ(u)``, which satisfies R′ = 1 + uR.

    For u > 5 the first is log R − u²/2: u²/2 is nearly all of log R, and the caller may cancel it exactly.
    """
    if u < -_ASYMPTOTIC_FROM:
        inv = 1.0 / u
        step = -inv * inv
        term, ratio, first, second = 1.0, 0.0, 0.0, 0.0
        for k in range(_ASYMPTOTIC_TERMS):
            odd = 2.0 * k + 1.0
            ratio += term
            first += term * odd
            second += term * odd * (odd + 1.0)
            term *= odd * step
        return log(-inv * ratio), -inv * first / ratio, inv * inv * second / ratio
    cdf = 0.5 * erfc(-u * _ROOT_HALF)
    if u > _SATURATED:
        log_ratio = _HALF_LOG_2PI + log(cdf)
        slope = u + exp(-log_ratio - 0.5 * u * u)
    else:
        ratio = 2.0 * _ROOT_HALF_PI * cdf * exp(0.5 * u * u)
        log_ratio = log(ratio)
        slope = u + 1.0 / ratio
    return log_ratio, slope, 1.0 + u * slope


@nb.njit(cache=True, nogil=True)
def _laplace_side(z, c):
    """log(R(z − c)·e^(−z²/2)), R′/R and R″/R: one of the two sides of a Laplace slab."""
    u = z - c
    log_ratio, slope, curvature = mills(u)
    # for u > 5 what is left is (u² − z²)/2
    return log_ratio + (0.5 * c * (c - 2.0 * z) if u > _SATURATED else -0.5 * z * z), slope, curvature


@nb.njit(cache=True, nogil=True)
def _laplace_slab(d, s, scale):
    """As :func:`_normal_slab` for Laplace(μ, τ): ``e^r = c/2·(R(z − c) + R(−z − c))``, c = s/τ, z = d/s."""
    z, c = d / s, s / scale
    log_up, up1, up2 = _laplace_side(z, c)
    log_down, down1, down2 = _laplace_side(-z, c)
    top = max(log_up, log_down)
    up, down = exp(log_up - top), exp(log_down - top)
    total = up + down
    up, down = up / total, down / total
    both1, both2 = up * up1 + down * down1, up * up2 + down * down2
    differ1, differ2 = up * up1 - down * down1, up * up2 - down * down2
    log_density = log(0.5 * c) + top + log(total)
    by_c = 1.0 - c * both1
    by_cc = c * (c * (both2 - both1 * both1) - both1)
    f_m = (z - differ1) / s
    f_mm = (both2 - differ1 * differ1 - 1.0) / (s * s)
    by_cm = c / s * (differ2 - differ1 * both1)
    return log_density, log_density + 0.5 * z * z, -0.5 * by_c, 0.25 * by_cc, f_m, f_mm, -0.5 * by_cm


@nb.njit(cache=True, nogil=True)
def _slab(family, d, s, scale):
    if family == NORMAL:
        return _normal_slab(d, s, scale * scale)
    return _laplace_slab(d, s, scale)


@nb.njit(cache=True, nogil=True)
def _mixture(a, r, log_spike, log_slab):
    """Posterior weights of slab and spike, and the log density of the mixture of two weighted log densities."""
    z = a + r
    e = exp(-abs(z))
    if z >= 0.0:
        return 1.0 / (1.0 + e), e / (1.0 + e), log_slab + log1p(e)
    return e / (1.0 + e), 1.0 / (1.0 + e), log_spike + log1p(e)


@nb.njit(cache=True, nogil=True)
def _log_weights(a):
    """log π₀ and log(1 − π₀)."""
    if a == inf:
        return -inf, 0.0
    if a == -inf:
        return 0.0, -inf
    return -max(a, 0.0) - log1p(exp(-abs(a))), min(a, 0.0) - log1p(exp(-abs(a)))


@nb.njit(cache=True, nogil=True)
def likelihood_sums(x, s, weight, family, a, b, mu, with_mode, first, sums):
    """Log-likelihood, gradient and Hessian of chunks ``first``, ``first + 1``, …, one row of ``sums`` each.

    Left out of the log-likelihood is the constant ``−½log 2π − log s``. ``weight`` may be empty for weights of 1.
    Derivatives by the mode are computed if ``with_mode``, and none without a slab.
    """
    scale = exp(0.5 * b)
    log_pi0, log_share = _log_weights(a)
    share = exp(log_share)
    for row in range(len(sums)):
        lo, hi = (first + row) * CHUNK, min(len(x), (first + row + 1) * CHUNK)
        value, g_a, g_b, g_m = 0.0, 0.0, 0.0, 0.0
        h_aa, h_ab, h_am, h_bb, h_bm, h_mm = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(lo, hi):
            d = x[i] - mu
            inv_v = 1.0 / (s[i] * s[i])
            w = weight[i] if len(weight) else 1.0
            if share == 0.0:
                value -= 0.5 * w * d * d * inv_v
                continue
            log_slab, r, r_b, r_bb, f_m, f_mm, r_bm = _slab(family, d, s[i], scale)
            p, not_p, log_density = _mixture(a, r, log_pi0 - 0.5 * d * d * inv_v, log_share + log_slab)
            spread = w * p * not_p
            wp = w * p
            value += w * log_density
            g_a += w * (p - share)
            g_b += wp * r_b
            h_aa += spread
            h_ab += spread * r_b
            h_bb += spread * r_b * r_b + wp * r_bb
            if with_mode:
                r_m = f_m - d * inv_v
                g_m += wp * f_m + w * not_p * d * inv_v
                h_am += spread * r_m
                h_bm += spread * r_b * r_m + wp * r_bm
                h_mm += spread * r_m * r_m + wp * f_mm - w * not_p * inv_v
            h_aa -= w * share * (1.0 - share)
        out = sums[row]
        out[0], out[1], out[2], out[3] = value, g_a, g_b, g_m
        out[4], out[5], out[6], out[7], out[8], out[9] = h_aa, h_ab, h_am, h_bb, h_bm, h_mm


@nb.njit(cache=True, nogil=True)
def slope_sums(x, s, family, b, mu, first, sums):
    """Σ(e^r − 1) and Σ(e^r − 1)²: slope and curvature of the log-likelihood in 1 − π₀ at π₀ = 1."""
    scale = exp(0.5 * b)
    for row in range(len(sums)):
        lo, hi = (first + row) * CHUNK, min(len(x), (first + row + 1) * CHUNK)
        slope, curvature = 0.0, 0.0
        for i in range(lo, hi):
            excess = expm1(min(_slab(family, x[i] - mu, s[i], scale)[1], MAX_LOG_RATIO / 2))
            slope += excess
            curvature += excess * excess
        sums[row, 0], sums[row, 1] = slope, curvature


@nb.njit(cache=True, nogil=True)
def best_share(x, s, weight, family, b, mu):
    """The share 1 − π₀ in [0, 1] of highest likelihood for a given slab.

    The log-likelihood is concave in the share, so its slope has one root at most: Newton, kept in a bracket.
    """
    scale = exp(0.5 * b)
    n = len(x)
    excess = np.empty(n)
    for i in range(n):
        excess[i] = expm1(min(_slab(family, x[i] - mu, s[i], scale)[1], MAX_LOG_RATIO))
    low, high, share = 0.0, 1.0, 0.0
    for step in range(60):
        slope, curvature = 0.0, 0.0
        for i in range(n):
            t = excess[i] / (1.0 + share * excess[i])
            w = weight[i] if len(weight) else 1.0
            slope += w * t
            curvature += w * t * t
        if step == 0 and slope <= 0.0:
            break
        if slope > 0.0:
            low = share
        else:
            high = share
        proposal = share + slope / curvature if curvature > 0.0 else high
        if not low < proposal < high:
            proposal = 0.5 * (low + high) if step else 1e-3
        moved = abs(proposal - share)
        share = proposal
        if moved < 1e-3 * share * (1.0 - share) or high - low < 1e-12:
            break
    return share


@nb.njit(cache=True, nogil=True)
def _normal_posterior(d, s, mu, scale):
    """Mean and variance of θ − μ under the slab, P(θ < 0) and P(θ > 0)."""
    total = s * s + scale * scale
    mean = d * (scale * scale / total)
    variance = scale * scale * (s * s / total)
    t = (mu + mean) / sqrt(variance) * _ROOT_HALF
    return mean, variance, 0.5 * erfc(t), 0.5 * erfc(-t)


@nb.njit(cache=True, nogil=True)
def _log_cdf(u):
    log_ratio = mills(u)[0] - _HALF_LOG_2PI
    return log_ratio if u > _SATURATED else log_ratio - 0.5 * u * u


@nb.njit(cache=True, nogil=True)
def _laplace_posterior(d, s, mu, scale):
    """As :func:`_normal_posterior`: two normals, each truncated at the mode."""
    z, c = d / s, s / scale
    log_up, up1, up2 = _laplace_side(z, c)
    log_down, down1, down2 = _laplace_side(-z, c)
    up = 1.0 / (1.0 + exp(min(log_down - log_up, MAX_LOG_RATIO)))
    down = 1.0 / (1.0 + exp(min(log_up - log_down, MAX_LOG_RATIO)))
    mean = s * (up * up1 - down * down1)
    # between the mode and x it is in truth; the difference of two near-equal terms may round beyond
    mean = min(max(mean, min(d, 0.0)), max(d, 0.0))
    within = up * (up2 - up1 * up1) + down * (down2 - down1 * down1)
    variance = s * s * (within + up * down * (up1 + down1) ** 2)
    if mu == 0.0:
        return mean, variance, down, up
    if mu > 0.0:
        below = down * exp(min(0.0, _log_cdf(-z - c - mu / s) - _log_cdf(-z - c)))
        return mean, variance, below, 1.0 - below
    above = up * exp(min(0.0, _log_cdf(z - c + mu / s) - _log_cdf(z - c)))
    return mean, variance, 1.0 - above, above


@nb.njit(cache=True, nogil=True)
def posterior_chunks(x, s, family, a, scale, mu, first, sums, mean, sd, lfsr):
    """Posterior mean, standard deviation and local false sign rate; ``sums`` gets the log-likelihood."""
    log_pi0, log_share = _log_weights(a)
    for row in range(len(sums)):
        lo, hi = (first + row) * CHUNK, min(len(x), (first + row + 1) * CHUNK)
        value = 0.0
        for i in range(lo, hi):
            d = x[i] - mu
            log_spike = -0.5 * (d / s[i]) ** 2
            if scale == 0.0 or a == -inf:
                value += log_spike
                mean[i], sd[i], lfsr[i] = mu, 0.0, 1.0 if mu == 0.0 else 0.0
                continue
            log_slab, r = _slab(family, d, s[i], scale)[:2]
            p, not_p, log_density = _mixture(a, r, log_pi0 + log_spike, log_share + log_slab)
            value += log_density
            if family == NORMAL:
                shift, variance, below, above = _normal_posterior(d, s[i], mu, scale)
            else:
                shift, variance, below, above = _laplace_posterior(d, s[i], mu, scale)
            mean[i] = mu + p * shift
            sd[i] = sqrt(p * (variance + not_p * shift * shift))
            not_up = p * below + (not_p if mu <= 0.0 else 0.0)
            not_down = p * above + (not_p if mu >= 0.0 else 0.0)
            lfsr[i] = min(not_up, not_down)
        sums[row, 0] = value
