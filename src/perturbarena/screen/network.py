"""The regulatory network of a simulated screen: what knocking out a gene truly does to every other gene.

Genes form modules. A knocked-out gene acts on modules through a wiring that its own module sets, and on a few
genes directly; a tenth of all genes are hubs that answer to many knockouts. The strength of each knockout is then
set so that the number of genes that a screen of this size can call has a given distribution.

The constants below without a source are chosen together, so that questions drawn from a screen by the published
design have the published shape (``benchmarks/published_shape.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

from perturbarena.challenge.words import counted
from perturbarena.errors import InputError

if TYPE_CHECKING:
    from perturbarena.screen.simulate import SimulationSettings

SECOND_LOADING: Final = 0.5
"""Mean loading of a gene on its second module, relative to its first."""
COMMON_SHARE: Final = 0.15
"""Share that comes from each gene's response common to all knockouts; the rest is the pair's own."""
OWN_WIRING: Final = 0.6
"""How far a knocked-out gene's action on modules departs from its own module's, in units of the latter."""
DIRECT_DENSITY: Final = 0.006
"""Share of genes that a knockout acts on directly."""
DIRECT_SCALE: Final = 12.0
"""Size of direct effects, relative to those on a gene that is no hub."""
DIRECT_DF: Final = 3
"""Degrees of freedom of the t distribution of direct effects: their tails are heavy."""
HUB_SHARE: Final = 0.09
"""Share of genes that are hubs."""
HUB_ANSWER: Final = 9.0
"""Times as readily as others that hubs answer. There are many, of like readiness: a strong knockout moves most of
them, yet few stand among the strongest effects of every knockout."""
BUFFERING: Final = 0.4
"""How much less genes with more transcripts answer: the response falls with this power of expression."""
ABUNDANT: Final = 3.0
"""Times the mean expression at which that fall is twofold more: no gene may take over all transcripts."""
LARGEST_FALL: Final = 3.0
LARGEST_RISE: Final = 1.5
"""Bounds of |log2 fold change|, reached smoothly. A transcript can fall to nothing, while a promoter's rate has an
upper limit. With equal bounds nine in ten of the strongest findings go up (68 % of the published): with few counts
a rise is easier to see than a fall."""
CALLED_LOG2FC: Final = float(np.log2(1.5))
"""A called gene's least |log2 fold change|."""
CALLED_FDR: Final = 0.05
"""A called gene's highest false discovery rate."""
STEPS: Final = 18
"""Halvings of the search for a strength: to 2^(20/2^18) of it."""
RANGE: Final = 10.0
"""Strengths are sought within 2^±RANGE of that which gives the genes that answer most an effect of 1."""
CALLED_SHARE: Final = ((0.0, 0.0013), (0.1, 0.0034), (0.25, 0.0056), (0.5, 0.0193), (0.75, 0.05165), (1.0, 0.4))
"""Quantiles of the share of genes called in a perturbation; in 10,000 genes the median is 193 and the quartiles 56
and 516.5, as published for the 2026 challenge's kept perturbations. The others (13, 34 and 4,000) are chosen: 3 %
of the published training perturbations have fewer than nine moved genes among 60 % of all genes."""


@dataclass(frozen=True, slots=True)
class Genes:
    """What is true of G genes whatever is knocked out.

    ``modules`` (G, 2) int and ``loadings`` (G, 2) float32: first and second module; ``response`` (G,): how readily
    the gene answers to knockouts; ``share`` (G,): of a control cell's transcripts, sums to 1; ``dispersion`` (G,):
    of the negative binomial.
    """

    modules: np.ndarray
    loadings: np.ndarray
    response: np.ndarray
    share: np.ndarray
    dispersion: np.ndarray


@dataclass(frozen=True, slots=True)
class Network:
    """Effects of P knockouts. ``log2fc`` (P, G) float32: of a guide that works fully, relative to all transcripts.

    ``module`` (P,) int: of the knocked-out gene; ``strength`` (P,): what its effects were multiplied by;
    ``expected_called`` (P,): genes that an analysis of a screen of this size is expected to call.
    """

    log2fc: np.ndarray
    module: np.ndarray
    strength: np.ndarray
    expected_called: np.ndarray


def draw_genes(rng: np.random.Generator, settings: SimulationSettings) -> Genes:
    """Modules, expression, dispersion and responsiveness of every gene."""
    n = settings.genes
    first = rng.integers(settings.modules, size=n)
    second = (first + rng.integers(1, settings.modules, size=n)) % settings.modules
    loadings = rng.gamma(4.0, 0.25, size=(n, 2)) * [1.0, SECOND_LOADING]
    share = rng.lognormal(0.0, settings.expression_spread, n)
    buffered = (share / np.median(share)) ** -BUFFERING / (1 + share / (ABUNDANT * share.mean()))
    hub = np.where(rng.random(n) < HUB_SHARE, HUB_ANSWER, 1.0)
    return Genes(
        modules=np.stack([first, second], axis=1),
        loadings=loadings.astype(np.float32),
        response=rng.lognormal(0.0, settings.hub_spread, n) * hub * buffered,
        share=share / share.sum(),
        dispersion=settings.dispersion * rng.lognormal(0.0, 0.5, n),
    )


def draw_network(
    rng: np.random.Generator,
    genes: Genes,
    *,
    own: np.ndarray,
    efficiency: np.ndarray,
    settings: SimulationSettings,
) -> Network:
    """Effects of every knockout.

    ``log2fc = L·tanh(s_p·u/L) − c_p`` with u the network's response, L the bound of its direction, c_p such that
    the transcripts' sum stays, and s_p the strength at which the number of genes that :func:`expected_called`
    counts, for guides of mean efficiency, is a draw from ``CALLED_SHARE``.

    Parameters
    ----------
    own
        Shape (P,) int: where the knocked-out gene stands among the genes; −1 if it does not.
    efficiency
        Shape (P,): mean efficiency of the knockout's guides.

    Raises
    ------
    InputError
        If cells and counts are too few for any effect to be called.
    """
    measured = np.flatnonzero(own >= 0)
    module = rng.integers(settings.modules, size=len(own))
    module[measured] = genes.modules[own[measured], 0]
    response = _response(rng, genes, module, settings)
    response[measured, own[measured]] = 0.0
    wanted = _called_share(rng.random(len(own))) * settings.genes
    strength, expected = np.empty(len(own)), np.empty(len(own))
    log2fc = np.empty(response.shape, np.float32)
    for p, row in enumerate(response):
        strength[p] = _strength(row, wanted[p], efficiency=efficiency[p], genes=genes, settings=settings)
        effect = _bounded(row, _bounds(row), strength=strength[p], share=genes.share)
        log2fc[p] = effect
        expected[p] = expected_called(efficiency[p] * effect, wanted[p], genes=genes, settings=settings)
    if settings.knockdown is not None:
        log2fc[measured, own[measured]] = -settings.knockdown
    return Network(log2fc, module, strength, expected)


def expected_called(log2fc: np.ndarray, wanted: float, *, genes: Genes, settings: SimulationSettings) -> float:
    """Genes that an analysis is expected to call: Σ_g Φ(|log2fc|/SE_g − max(z, log2 1.5/SE_g)).

    ``z`` is the two-sided bound that Benjamini and Hochberg set where ``wanted`` of G genes are called. SE is that
    of n perturbed and n₀ control cells with mean counts μ·2^log2fc and μ,
    ``SE² = ((1/(μ·2^log2fc) + φ)/n + (1/μ + φ)/n₀)/ln²2``; φ is the dispersion with what cell states add to it.
    """
    mean = genes.share * settings.counts_per_gene * settings.genes
    states = settings.state_spread**2 * (genes.loadings.astype(float) ** 2).sum(axis=1)
    spread = genes.dispersion + np.expm1(np.minimum(states, 1.0))
    perturbed = (np.exp2(-log2fc) / mean + spread) / settings.cells_per_perturbation
    error = np.sqrt(perturbed + (1 / mean + spread) / settings.control_cells) / np.log(2)
    bound = -special.ndtri(CALLED_FDR * min(wanted / settings.genes, 1.0) / 2)
    return float(special.ndtr(np.abs(log2fc) / error - np.maximum(bound, CALLED_LOG2FC / error)).sum())


def _response(
    rng: np.random.Generator, genes: Genes, module: np.ndarray, settings: SimulationSettings
) -> np.ndarray:
    """Signed answer of each gene to each knockout, shape (P, G), before strength."""
    shape = (len(module), settings.genes)
    wiring = rng.normal(size=(settings.modules, settings.modules))
    action = wiring[module] + OWN_WIRING * rng.normal(size=(len(module), settings.modules))
    common = rng.normal(size=settings.genes)
    first, second = genes.modules.T
    one, two = genes.loadings.T
    wired = action[:, first] * one + action[:, second] * two
    alone = rng.normal(size=shape)
    rest = 1 - settings.module_share - COMMON_SHARE
    answer = np.sqrt(settings.module_share) * wired + np.sqrt(COMMON_SHARE) * common + np.sqrt(rest) * alone
    direct = rng.standard_t(DIRECT_DF, size=shape) * (rng.random(shape) < DIRECT_DENSITY)
    return answer * genes.response + DIRECT_SCALE * direct


def _called_share(level: np.ndarray) -> np.ndarray:
    """Quantiles of the share of genes called, by geometric interpolation of ``CALLED_SHARE``."""
    at, share = np.array(CALLED_SHARE).T
    return np.exp(np.interp(level, at, np.log(share)))


def _strength(
    response: np.ndarray,
    wanted: float,
    *,
    efficiency: float,
    genes: Genes,
    settings: SimulationSettings,
) -> float:
    """The strength at which ``wanted`` genes are expected to be called, or 0.8 of those that ever could be."""

    def called(log2_strength: float) -> float:
        effect = efficiency * _bounded(response, bounds, strength=unit * 2**log2_strength, share=genes.share)
        return expected_called(effect, wanted, genes=genes, settings=settings)

    bounds = _bounds(response)
    unit = 1 / np.abs(response).max()
    reachable = called(RANGE)
    if reachable < 2:
        raise InputError(
            "hardly an effect could be called with "
            f"{counted(settings.cells_per_perturbation, 'cell')} a perturbation and {settings.counts_per_gene:g} "
            "counts a gene and cell; more cells, genes or counts are needed"
        )
    low, high = -RANGE, RANGE
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if called(middle) < min(wanted, 0.8 * reachable) else (low, middle)
    return float(unit * 2**high)


def _bounds(response: np.ndarray) -> np.ndarray:
    """The bound of each gene's |log2 fold change|, by its direction."""
    return np.where(response > 0, LARGEST_RISE, LARGEST_FALL)


def _bounded(response: np.ndarray, bounds: np.ndarray, *, strength: float, share: np.ndarray) -> np.ndarray:
    """Log2 fold changes within ``bounds``, relative to the sum of all transcripts."""
    log2fc = bounds * np.tanh(strength * response / bounds)
    return log2fc - np.log2(share @ np.exp2(log2fc))
