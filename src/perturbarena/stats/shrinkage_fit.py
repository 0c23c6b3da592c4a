"""Maximum of the marginal likelihood of a point-normal, normal or point-Laplace prior.

The likelihood is not concave: a wide slab of small weight and a narrow one of large weight can both be local
maxima. For a given slab it is concave in the slab's weight, though. So the slab's scale is searched on a grid with
the best weight at each point, and Newton's method with exact derivatives starts from the best pair. With many
observations the search and most Newton steps run on a subset: all observations beyond 4 standard errors, up to a
limit, and some of the others with the weight of those they stand for. Only the last steps, and the comparison with
the boundary (no slab, no spike), use them all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit, logit

from perturbarena.stats import shrinkage_kernels as kernels
from perturbarena.stats.shrinkage_kernels import CHUNK, N_SUMS

SUBSET: Final = 40_000
"""Observations of each kind, far and near, in the subset; with fewer than twice as many there is no subset."""
FAR: Final = 4.0
"""Distance from the mode, in standard errors, beyond which an observation is kept if possible."""
GRID_STEP: Final = 2.0
"""Ratio of neighbouring slab scales in the search."""
NARROWEST: Final = 0.1
"""Least slab scale of the search, in units of the 0.1 % quantile of s; Newton may go lower."""
MAX_STEP: Final = 2.0
"""Longest Newton step in a and b."""
TOLERANCE: Final = 1e-5
"""A Newton step shorter than this is the last one: convergence is quadratic, so the error left is about 1e-10."""
NEGLIGIBLE: Final = 1e-10
"""Likewise a step that promises less log-likelihood: it moves no parameter by 2e-5 standard errors."""
MAX_ITERATIONS: Final = 200
A_BOUND: Final = 20.0
"""|logit π₀| where the search ends: beyond lie only the priors without a spike or without a slab."""
A_NEARLY_ALL: Final = 5.0
"""logit(1 − π₀) beyond which the prior without a spike is tried."""
VANISHING: Final = 1e-4
"""A slab this narrow, relative to the least s, is no slab: its effect on the likelihood is of order 1e-8."""


class Theta(NamedTuple):
    """Parameters: a = logit(1 − π₀), b = log τ² (τ the slab's scale), the mode."""

    a: float
    b: float
    mode: float


class Local(NamedTuple):
    """Value, gradient (3,) and Hessian (3, 3) of the log-likelihood."""

    value: float
    gradient: np.ndarray
    hessian: np.ndarray


class Optimum(NamedTuple):
    """A maximum; ``value`` lacks the constant Σ(−½log 2π − log s)."""

    theta: Theta
    value: float
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Observations x with standard errors s, shape (n,), float64; weights of shape (n,), or (0,) for 1."""

    x: np.ndarray
    s: np.ndarray
    family: int
    estimate_mode: bool
    threads: int
    weight: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def likelihood(self, theta: Theta) -> Local:
        def work(first: int, sums: np.ndarray) -> None:
            kernels.likelihood_sums(
                self.x, self.s, self.weight, self.family, *theta, self.estimate_mode, first, sums
            )

        total = sum_chunks(work, len(self.x), N_SUMS, self.threads)
        h = total[4:]
        hessian = np.array([[h[0], h[1], h[2]], [h[1], h[3], h[4]], [h[2], h[4], h[5]]])
        return Local(float(total[0]), total[1:4], hessian)

    def slope(self, b: float, mode: float) -> np.ndarray:
        """Σ(e^r − 1) and Σ(e^r − 1)²."""

        def work(first: int, sums: np.ndarray) -> None:
            kernels.slope_sums(self.x, self.s, self.family, b, mode, first, sums)

        return sum_chunks(work, len(self.x), 2, self.threads)


def sum_chunks(work: Callable[[int, np.ndarray], None], n: int, width: int, threads: int) -> np.ndarray:
    """Sums over chunks, shape (width,), the same for any number of threads.

    ``work(first, sums)`` fills one row of ``sums`` for each chunk from number ``first`` on.
    """
    rows = rows_of_chunks(work, n, width, threads)
    return rows.sum(axis=0)


def rows_of_chunks(work: Callable[[int, np.ndarray], None], n: int, width: int, threads: int) -> np.ndarray:
    """One row of results per chunk, shape (chunks, width)."""
    rows = np.zeros((-(-n // CHUNK), width))
    parts = min(threads, len(rows))
    if parts <= 1:
        work(0, rows)
        return rows
    # four parts a thread even out what other programs on the machine take from one of them
    cuts = np.linspace(0, len(rows), min(4 * parts, len(rows)) + 1).astype(int)
    with ThreadPoolExecutor(parts) as pool:
        jobs = [pool.submit(work, int(i), rows[i:j]) for i, j in pairwise(cuts)]
        for job in jobs:
            job.result()
    return rows


def thread_count(threads: int | None) -> int:
    """The number asked for, or one thread a processor."""
    return threads or os.cpu_count() or 1


def maximise(problem: Problem, modes: Sequence[float], *, spike: bool) -> Optimum:
    """The prior of highest likelihood, boundaries included; the fixed mode, or modes from which to start.

    Without ``spike``, 1 − π₀ is 1 and only the slab is estimated.
    """
    subset = _subset(problem, modes[0])
    start = max((_search(subset, mode, spike=spike) for mode in modes), key=lambda found: found.value).theta
    if start.a == -np.inf and subset is not problem:
        start = _search_by_slope(problem, start)
    found = [_without_slab(problem, modes[0], spike=spike)]
    if np.isfinite(start.a):
        nearby = _newton(subset, start, free_weight=True).theta if subset is not problem else start
        found.append(_newton(problem, nearby, free_weight=True))
        start = found[-1].theta
    if start.a > A_NEARLY_ALL:
        found.append(_without_spike(problem, subset, start))
    within = [optimum for optimum in found if not A_BOUND < abs(optimum.theta.a) < np.inf]
    return max(within, key=lambda optimum: optimum.value)


def _subset(problem: Problem, mode: float) -> Problem:
    """A weighted subset that keeps what tells most about the slab; the problem itself if it is small."""
    n = len(problem.x)
    if n <= 2 * SUBSET:
        return problem
    is_far = np.empty(n, np.bool_)

    def work(first: int, rows: np.ndarray) -> None:
        kernels.mark_far(problem.x, problem.s, mode, FAR, first, rows, is_far)

    rows_of_chunks(work, n, 0, problem.threads)
    far = np.flatnonzero(is_far)
    n_far = len(far)
    far = far[_spread(n_far, SUBSET)]
    near = _spread(n, SUBSET)
    near = near[~is_far[near]]
    index = np.concatenate([far, near])
    weight = np.full(len(index), n_far / max(len(far), 1))
    weight[len(far) :] = (n - n_far) / max(len(near), 1)
    return replace(problem, x=problem.x[index], s=problem.s[index], weight=weight)


def _spread(n: int, wanted: int) -> np.ndarray:
    """``wanted`` of n positions, one in each of equal stretches, at places that no period of the data follows."""
    if n <= wanted:
        return np.arange(n)
    offset = (np.arange(wanted) * 0.6180339887498949) % 1.0
    return ((np.arange(wanted) + offset) * (n / wanted)).astype(np.int64)


class Start(NamedTuple):
    """Where Newton's method is to start, and the log-likelihood there."""

    theta: Theta
    value: float


def _search(problem: Problem, mode: float, *, spike: bool) -> Start:
    """The best slab on a grid of scales, with its best weight (a = −∞ if none is better than no slab)."""
    widest = float(np.max(np.abs(problem.x - mode)))
    narrowest = NARROWEST * float(np.quantile(problem.s, 0.001))
    steps = max(0, int(np.ceil(np.log(max(widest / narrowest, 1.0)) / np.log(GRID_STEP))))
    grid = [2.0 * float(np.log(narrowest * GRID_STEP**i)) for i in range(steps + 1)]
    fixed = replace(problem, estimate_mode=False, threads=1)

    def evaluate(b: float) -> Start:
        theta = Theta(np.inf, b, mode)
        if spike:
            share = kernels.best_share(problem.x, problem.s, problem.weight, problem.family, b, mode)
            bound = 0.5 * A_BOUND
            theta = Theta(float(np.clip(logit(share), -bound, bound)) if share > 0.0 else -np.inf, b, mode)
        return Start(theta, fixed.likelihood(theta).value)

    with ThreadPoolExecutor(problem.threads) as pool:
        return max(pool.map(evaluate, grid), key=lambda start: start.value)


def _search_by_slope(problem: Problem, start: Theta) -> Theta:
    """A slab of small weight that is better than none, judged by all observations, or ``start``."""
    widest = float(np.max(np.abs(problem.x - start.mode)))
    narrowest = NARROWEST * float(np.min(problem.s))
    grid = np.arange(2.0 * np.log(narrowest), 2.0 * np.log(max(widest, narrowest)) + 0.1, 4.0 * np.log(GRID_STEP))
    best, gain = start, 0.0
    for b in grid[-12:]:
        slope, curvature = problem.slope(float(b), start.mode)
        if slope > 0.0 and slope * slope / curvature > gain:
            best, gain = (
                Theta(float(logit(min(slope / curvature, 0.5))), float(b), start.mode),
                slope**2 / curvature,
            )
    return best


def _newton(problem: Problem, start: Theta, *, free_weight: bool) -> Optimum:
    """Newton's method; along directions of positive curvature it climbs by the curvature's size instead.

    Ends at a step below ``TOLERANCE``, or on a bound of a or b: there the likelihood rises towards one of the
    boundary cases, which are evaluated on their own.
    """
    free = np.array([free_weight, True, problem.estimate_mode])
    vanished = 2.0 * float(np.log(VANISHING * np.min(problem.s)))
    theta, here = start, problem.likelihood(start)
    for iteration in range(1, MAX_ITERATIONS + 1):
        step = _ascent(here, free, theta)
        gain = float(here.gradient @ step)
        short = bool(np.all(np.abs(step) * _units(here) < TOLERANCE))
        last = short or gain < NEGLIGIBLE * max(1.0, 1e-6 * abs(here.value))
        for _ in range(40):
            trial = Theta(*(float(t) for t in np.asarray(theta) + step))
            there = problem.likelihood(trial)
            # sums of n terms are known to rounding only
            if there.value >= here.value - 1e-12 * max(1.0, abs(here.value), len(problem.x)):
                break
            step = 0.5 * step
        else:
            return Optimum(theta, here.value, iteration, last)
        theta, here = trial, there
        if last:
            return Optimum(theta, here.value, iteration, converged=True)
        if (free_weight and abs(theta.a) > A_BOUND) or theta.b < vanished:
            return Optimum(theta, here.value, iteration, converged=True)
    return Optimum(theta, here.value, MAX_ITERATIONS, converged=False)


def _units(here: Local) -> np.ndarray:
    """What makes steps comparable: 1 for a and b, one standard error for the mode."""
    return np.array([1.0, 1.0, np.sqrt(abs(here.hessian[2, 2]))])


def _ascent(here: Local, free: np.ndarray, theta: Theta) -> np.ndarray:
    """A step uphill, shape (3,)."""
    unit = np.array([1.0, 1.0, 1.0 / max(_units(here)[2], np.exp(-0.5 * theta.b))])[free]
    gradient = here.gradient[free] * unit
    curvature, axes = np.linalg.eigh(here.hessian[np.ix_(free, free)] * np.outer(unit, unit))
    floor = 1e-12 * max(float(np.max(np.abs(curvature))), 1e-300)
    inner = axes @ (axes.T @ gradient / np.maximum(np.abs(curvature), floor))
    longest = float(np.max(np.abs(inner)))
    step = np.zeros(3)
    step[free] = unit * inner * min(1.0, MAX_STEP / longest if longest > 0.0 else 1.0)
    return step


def _without_spike(problem: Problem, subset: Problem, near: Theta) -> Optimum:
    theta = near._replace(a=np.inf)
    if subset is not problem:
        theta = _newton(subset, theta, free_weight=False).theta
    return _newton(problem, theta, free_weight=False)


def _without_slab(problem: Problem, mode: float, *, spike: bool) -> Optimum:
    """All mass at the mode: π₀ = 1, reported with scale 1 where the family has a spike, else a slab of scale 0."""
    if problem.estimate_mode:
        precision = 1.0 / np.square(problem.s)
        mode = float(np.sum(precision * problem.x) / np.sum(precision))
    theta = Theta(-np.inf, 0.0, mode)
    value = problem.likelihood(theta).value
    return Optimum(theta if spike else Theta(np.inf, -np.inf, mode), value, 0, converged=True)


def spike_share(theta: Theta) -> float:
    """π₀."""
    return float(expit(-theta.a))
