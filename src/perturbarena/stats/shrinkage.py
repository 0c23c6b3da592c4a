"""Empirical-Bayes shrinkage of effects that were measured with known standard errors.

Observed are ``x_i ~ N(θ_i, s_i²)``, and the effects θ_i come from a prior that is estimated from all of them:

    point_normal     θ ~ π₀·δ_μ + (1 − π₀)·N(μ, τ²)
    point_laplace    θ ~ π₀·δ_μ + (1 − π₀)·Laplace(μ, τ)
    normal           θ ~ N(μ, τ²)

π₀ and τ, and the mode μ if asked, maximise the marginal likelihood (doi:10.1214/009053604000000030). The posterior
of each θ_i given the prior follows in closed form. This computes what R's ebnm does for these families
(Willwerscheid, Carbonetto & Stephens, arXiv:2110.00152), without simulation or approximation.

A prior fitted on one set of effects can be applied to another: :func:`fit_point_normal`, then :func:`posterior`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logit

from perturbarena.errors import InputError
from perturbarena.stats import shrinkage_fit as fit
from perturbarena.stats import shrinkage_kernels as kernels

Family = Literal["point_normal", "normal", "point_laplace"]
Mode = float | Literal["estimate"]

_SLAB: Final = {"point_normal": kernels.NORMAL, "normal": kernels.NORMAL, "point_laplace": kernels.LAPLACE}
_HALF_LOG_2PI: Final = 0.5 * math.log(2 * math.pi)
ROOT_EPS: Final = float(np.sqrt(np.finfo(float).eps))
"""Of the range of x: stands for a standard error of 0 where no positive one is smaller."""


@dataclass(frozen=True, slots=True)
class Prior:
    """An estimated prior.

    ``pi0`` is the mass at the mode; ``scale`` the slab's τ, in the unit of x: the standard deviation of a normal
    slab, and the mean distance from the mode of a Laplace slab, whose standard deviation is √2·τ. Where no slab is
    better than some, ``pi0`` is 1 and ``scale`` 1, a placeholder; for ``normal`` the scale is 0 then.
    ``log_likelihood`` is the maximum reached on the n observations, ``n_zero_s`` how many standard errors of 0
    were replaced, ``iterations`` the Newton steps over all observations, and ``converged`` is false if the step
    limit ended them.
    """

    family: Family
    pi0: float
    scale: float
    mode: float
    log_likelihood: float
    n: int
    n_zero_s: int
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class Shrinkage:
    """Posterior of every effect, arrays float64 in the shape of x, and the prior they rest on.

    ``lfsr``, the local false sign rate, is min(P(θ ≤ 0), P(θ ≥ 0)). ``log_likelihood`` is that of these
    observations under the prior; ``n_zero_s`` counts standard errors of 0 that were replaced among them.
    """

    family: Family
    pi0: float
    scale: float
    mode: float
    log_likelihood: float
    n_zero_s: int
    posterior_mean: np.ndarray
    posterior_sd: np.ndarray
    lfsr: np.ndarray


def point_normal(x: ArrayLike, s: ArrayLike, *, mode: Mode = 0.0, threads: int | None = None) -> Shrinkage:
    """Shrink x with a prior ``π₀·δ_μ + (1 − π₀)·N(μ, τ²)`` estimated from x and s.

    With ``w_i`` the posterior probability of the slab, the posterior mean is ``μ + w_i·(x_i − μ)·τ²/(τ² + s_i²)``.

    Parameters
    ----------
    x
        Effects, any shape and unit.
    s
        Their standard errors, one number or the shape of x, in the same unit. Zeros are replaced by the smaller of
        the least positive s and 1.5e-8 times the range of x, and counted. An effect that is hardly known has a
        very large s: it then adds nothing to the fit, and shrinks to the prior's mean.
    mode
        μ, or ``"estimate"``.
    threads
        Number of threads, by default one per core. The result does not depend on it.

    Raises
    ------
    InputError
        If x or s is empty, NaN, infinite or of other shape, s is negative, or the mode is no finite number.
    """
    return _shrink("point_normal", x, s, mode, threads)


def point_laplace(x: ArrayLike, s: ArrayLike, *, mode: Mode = 0.0, threads: int | None = None) -> Shrinkage:
    """As :func:`point_normal` with the slab ``exp(−|θ − μ|/τ)/(2τ)``, whose tails shrink large effects less."""
    return _shrink("point_laplace", x, s, mode, threads)


def normal(x: ArrayLike, s: ArrayLike, *, mode: Mode = 0.0, threads: int | None = None) -> Shrinkage:
    """As :func:`point_normal` with π₀ = 0: every effect differs from the mode."""
    return _shrink("normal", x, s, mode, threads)


def fit_point_normal(x: ArrayLike, s: ArrayLike, *, mode: Mode = 0.0, threads: int | None = None) -> Prior:
    """The prior of :func:`point_normal` alone."""
    return fit_prior("point_normal", x, s, mode=mode, threads=threads)


def fit_prior(
    family: Family, x: ArrayLike, s: ArrayLike, *, mode: Mode = 0.0, threads: int | None = None
) -> Prior:
    """The prior of a family that maximises ``Σ_i log ∫N(x_i; θ, s_i²)·prior(dθ)``; arguments as there.

    Raises
    ------
    InputError
        As :func:`point_normal`, or if there is no such family.
    """
    threads = fit.thread_count(threads)
    if family not in _SLAB:
        raise InputError(f"unknown prior family {family!r}; there are {', '.join(_SLAB)}")
    if mode != "estimate" and not (isinstance(mode, (int, float, np.number)) and abs(mode) < kernels.LIMIT):
        raise InputError(f"mode must be a finite number or 'estimate'; got {mode!r}")
    estimate_mode = mode == "estimate"
    data = _observations(x, s, threads)
    modes = _starting_modes(data) if estimate_mode else [float(mode)]
    problem = fit.Problem(data.x, data.s, _SLAB[family], estimate_mode, threads)
    found = fit.maximise(problem, modes, spike=family != "normal")
    return Prior(
        family=family,
        pi0=fit.spike_share(found.theta),
        scale=float(np.exp(0.5 * found.theta.b)),
        mode=found.theta.mode,
        log_likelihood=found.value + data.constant,
        n=len(data.x),
        n_zero_s=data.n_zero_s,
        iterations=found.iterations,
        converged=found.converged,
    )


def posterior(prior: Prior, x: ArrayLike, s: ArrayLike, *, threads: int | None = None) -> Shrinkage:
    """Shrink x with a given prior, whatever it was fitted on.

    Raises
    ------
    InputError
        As :func:`point_normal`.
    """
    threads = fit.thread_count(threads)
    data = _observations(x, s, threads)
    mean, sd, lfsr = (np.empty(len(data.x)) for _ in range(3))
    slab, a = _SLAB[prior.family], float(logit(1.0 - prior.pi0))

    def work(first: int, sums: np.ndarray) -> None:
        kernels.posterior_chunks(data.x, data.s, slab, a, prior.scale, prior.mode, first, sums, mean, sd, lfsr)

    value = float(fit.sum_chunks(work, len(data.x), 1, threads)[0])
    return Shrinkage(
        family=prior.family,
        pi0=prior.pi0,
        scale=prior.scale,
        mode=prior.mode,
        log_likelihood=value + data.constant,
        n_zero_s=data.n_zero_s,
        posterior_mean=mean.reshape(data.shape),
        posterior_sd=sd.reshape(data.shape),
        lfsr=lfsr.reshape(data.shape),
    )


class _Observations(NamedTuple):
    """x and s flattened to shape (n,), and Σ(−½log 2π − log s)."""

    x: np.ndarray
    s: np.ndarray
    shape: tuple[int, ...]
    constant: float
    n_zero_s: int


def _observations(x: ArrayLike, s: ArrayLike, threads: int) -> _Observations:
    x, s = np.asarray(x, np.float64), np.asarray(s, np.float64)
    shape = x.shape
    if s.ndim and s.shape != shape:
        raise InputError(f"s must be one number or have the shape of x, {shape}; got {s.shape}")
    if not x.size:
        raise InputError(f"shrinkage needs at least one effect; got x of shape {shape}")
    # writable too, although nothing is written: compiled code exists once for each kind of array
    flat_x = np.require(x, requirements=["C", "W"]).reshape(-1)
    flat_s = np.require(np.broadcast_to(s, shape), requirements=["C", "W"]).reshape(-1)
    facts = _survey(flat_x, flat_s, threads, shape)
    n_zero_s = int(facts[:, 4].sum())
    if n_zero_s:
        span = float(facts[:, 2].max() - facts[:, 1].min())
        floor = min(float(facts[:, 3].min()), span * ROOT_EPS)
        if not floor > 1.0 / kernels.LIMIT:
            raise InputError(f"s is 0 at all {n_zero_s} places and all x are equal; one s must be positive")
        flat_s = np.where(flat_s == 0.0, floor, flat_s)
        facts = _survey(flat_x, flat_s, threads, shape)
    constant = -len(flat_x) * _HALF_LOG_2PI - float(facts[:, 0].sum())
    return _Observations(flat_x, flat_s, shape, constant, n_zero_s)


def _starting_modes(data: _Observations) -> list[float]:
    """Where a search for the mode starts: the likelihood may have several maxima in it."""
    precision = 1.0 / np.square(data.s)
    weighted = float(np.sum(precision * data.x) / np.sum(precision))
    return [weighted, float(np.median(data.x)), float(np.mean(data.x)), 0.0]


def _survey(x: np.ndarray, s: np.ndarray, threads: int, shape: tuple[int, ...]) -> np.ndarray:
    def work(first: int, facts: np.ndarray) -> None:
        kernels.survey(x, s, first, facts)

    facts = fit.rows_of_chunks(work, len(x), kernels.N_FACTS, threads)
    bad = facts[facts[:, 5] >= 0, 5]
    if len(bad):
        i = int(bad[0])
        place = ", ".join(str(int(j)) for j in np.unravel_index(i, shape))
        if not abs(x[i]) < kernels.LIMIT:
            raise InputError(f"x must be finite; got {x[i]} at position [{place}]; leave such effects out")
        needed = "not negative" if s[i] < 0 else "finite"
        raise InputError(f"s must be {needed}; got {s[i]} at position [{place}]; leave such effects out")
    return facts


def _shrink(family: Family, x: ArrayLike, s: ArrayLike, mode: Mode, threads: int | None) -> Shrinkage:
    return posterior(fit_prior(family, x, s, mode=mode, threads=threads), x, s, threads=threads)
