"""Counts of a simulated screen, block of cells by block of cells.

Memory holds one dense block and the sparse counts. All draws of one kind come from one stream, in the order of
cells, so that the numbers do not depend on the size of a block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from perturbarena.screen.network import Genes
    from perturbarena.screen.simulate import SimulationSettings

BLOCK: Final = 500
"""Cells drawn at once."""
HIGH_MEAN: Final = 4.0
"""Above this mean a count is drawn as Poisson of a gamma; below, by inversion: zeros cost nothing."""
INVERSION_STEPS: Final = 200
"""Largest count that inversion gives; the chance of more, at means up to ``HIGH_MEAN``, is below 1e-6 unless the
dispersion is above 4."""

Progress = Callable[[int, int], None]
"""Called with the number of cells done and the number of all."""


@dataclass(frozen=True, slots=True)
class CellPlan:
    """What is true of each of n cells before its counts are drawn.

    ``perturbation`` (n,) int, −1 for controls; ``guide`` (n,) int: controls' come after all others; ``efficiency``
    (n,) float32: of its guide, 0 for controls; ``batch`` (n,) int; ``depth`` (n,) float32: expected total;
    ``state`` (n, modules) float32: log activity of each module.
    """

    perturbation: np.ndarray
    guide: np.ndarray
    efficiency: np.ndarray
    batch: np.ndarray
    depth: np.ndarray
    state: np.ndarray


def draw_counts(
    rng: np.random.Generator,
    plan: CellPlan,
    *,
    genes: Genes,
    log2fc: np.ndarray,
    batch_effect: np.ndarray,
    settings: SimulationSettings,
    block: int = BLOCK,
    progress: Progress | None = None,
) -> sp.csr_matrix:
    """Counts (n, G), CSR int32: negative binomial with mean μ and variance μ + φ_g·μ².

    ``μ = depth·((1 − a)·share_g·exp(ln 2·e·log2fc + batch + loadings·state) + a·share_g)``, a the ambient share.

    Parameters
    ----------
    log2fc
        Shape (P, G) float32: of a guide that works fully.
    batch_effect
        Shape (B, G) float32: natural log.
    """
    streams = _Streams(*rng.spawn(3))
    n_cells = len(plan.perturbation)
    blocks = []
    for first in range(0, n_cells, block):
        cells = np.arange(first, min(first + block, n_cells))
        mean = _means(plan, cells, genes=genes, log2fc=log2fc, batch_effect=batch_effect, ambient=settings.ambient)
        blocks.append(_draw(streams, mean, genes.dispersion.astype(np.float32)))
        if progress is not None:
            progress(int(cells[-1]) + 1, n_cells)
    return _stacked(blocks, (n_cells, settings.genes))


@dataclass(frozen=True, slots=True)
class _Streams:
    """One generator a kind of draw: each is used up in the order of cells and genes, however blocks are cut."""

    uniform: np.random.Generator
    gamma: np.random.Generator
    poisson: np.random.Generator


def _means(
    plan: CellPlan,
    cells: np.ndarray,
    *,
    genes: Genes,
    log2fc: np.ndarray,
    batch_effect: np.ndarray,
    ambient: float,
) -> np.ndarray:
    """Expected counts of the cells, shape (n, G) float32. No matrix product: its rounding depends on the shape."""
    log_rate = batch_effect[plan.batch[cells]]
    state = plan.state[cells]
    for module, loading in zip(genes.modules.T, genes.loadings.T, strict=True):
        log_rate += np.take(state, module, axis=1) * loading
    knocked = np.flatnonzero(plan.perturbation[cells] >= 0)
    shift = log2fc[plan.perturbation[cells[knocked]]]
    shift *= plan.efficiency[cells[knocked], None] * np.float32(np.log(2))
    log_rate[knocked] += shift
    rate = np.exp(log_rate, out=log_rate)
    rate *= np.float32(1 - ambient)
    rate += np.float32(ambient)
    rate *= genes.share.astype(np.float32)
    rate *= plan.depth[cells, None]
    return rate


def _draw(streams: _Streams, mean: np.ndarray, dispersion: np.ndarray) -> sp.csr_matrix:
    """Negative binomial counts of one block."""
    uniform = streams.uniform.random(mean.shape, dtype=np.float32)
    none = np.exp(-np.log1p(mean * dispersion) / dispersion)
    high = mean > HIGH_MEAN
    seen = (uniform >= none) | high
    position = np.flatnonzero(seen)
    gene = position % mean.shape[1]
    by_gamma = high.ravel()[position]
    value = np.empty(len(position), np.int32)
    mu, phi = mean.ravel()[position].astype(np.float64), dispersion[gene].astype(np.float64)
    low = ~by_gamma
    value[low] = _inverted(
        uniform.ravel()[position[low]].astype(np.float64),
        mu[low],
        dispersion=phi[low],
        none=none.ravel()[position[low]].astype(np.float64),
    )
    shape = 1 / phi[by_gamma]
    rate = streams.gamma.standard_gamma(shape) * mu[by_gamma] / shape
    value[by_gamma] = streams.poisson.poisson(rate)
    start = np.searchsorted(position, np.arange(mean.shape[0] + 1) * mean.shape[1])
    counts = sp.csr_matrix((value, gene.astype(np.int32), start), shape=mean.shape)
    counts.eliminate_zeros()
    return counts


def _inverted(uniform: np.ndarray, mean: np.ndarray, *, dispersion: np.ndarray, none: np.ndarray) -> np.ndarray:
    """The least k with P(count ≤ k) > u, for u ≥ P(0) = ``none``: p(k+1) = p(k)·(1/φ + k)/(k + 1)·φμ/(1 + φμ)."""
    odds = dispersion * mean / (1 + dispersion * mean)
    size = 1 / dispersion
    count = np.ones(len(mean), np.int32)
    left = np.arange(len(mean))
    chance = none * size * odds
    total = none + chance
    for k in range(1, INVERSION_STEPS):
        more = uniform[left] >= total
        left = left[more]
        if not len(left):
            break
        count[left] = k + 1
        chance = chance[more] * (size[left] + k) / (k + 1) * odds[left]
        total = total[more] + chance
    return count


def _stacked(blocks: list[sp.csr_matrix], shape: tuple[int, int]) -> sp.csr_matrix:
    """Blocks under each other; each is let go once copied, so that counts are not held twice."""
    sizes = [block.nnz for block in blocks]
    ends = np.cumsum([0, *sizes])
    index_type = np.int32 if ends[-1] < np.iinfo(np.int32).max else np.int64
    data, indices = np.empty(ends[-1], np.int32), np.empty(ends[-1], index_type)
    start = [np.zeros(1, index_type)]
    for number, (first, last) in enumerate(pairwise(ends)):
        block = blocks[number]
        data[first:last], indices[first:last] = block.data, block.indices
        start.append((block.indptr[1:].astype(np.int64) + first).astype(index_type))
        blocks[number] = sp.csr_matrix((0, 0))
    return sp.csr_matrix((data, indices, np.concatenate(start)), shape=shape)
