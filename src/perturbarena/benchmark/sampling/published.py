"""The published design: how the 2026 challenge chose its questions.

A few strongest genes of every perturbation, as many unchanged rows of the same genes elsewhere, and random
unchanged genes on top. The numbers of rows that this leaves behind give answers away (``perturbarena benchmark
audit``): the design is here to be measured against, not to be used.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perturbarena.benchmark.labels import CALL_NONE, Labels
from perturbarena.benchmark.sampling.pairs import Pairs
from perturbarena.stats.structure import TOP_PER_PERTURBATION


class PublishedDesign(BaseModel):
    """Settings of :func:`draw_published`; the default is the published value."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Literal["bioreasoning-2026"] = "bioreasoning-2026"
    """How questions are drawn: fair or bioreasoning-2026."""
    top: Annotated[int, Field(ge=1, le=10_000)] = TOP_PER_PERTURBATION
    """Most moved genes asked of a perturbation: those of the lowest FDR."""


def draw_published(labels: Labels, settings: PublishedDesign | None = None, *, rng: np.random.Generator) -> Pairs:
    """Pairs of one block, K perturbations × A genes.

    1. Of each perturbation its ``top`` moved genes by FDR, ties by |log2 fold change|, then by position.
    2. Of each gene with m pairs from step 1, m perturbations that leave it unchanged, drawn at random; where
       fewer exist, all. Perturbations that move little are drawn more often, for they leave more unchanged.
    3. Of each perturbation with fewer unchanged pairs than moved ones, random unchanged genes up to that number.
    """
    settings = settings or PublishedDesign()
    moved = _strongest(labels, settings.top)
    unchanged = _matched(labels.call == CALL_NONE, moved.sum(axis=0), rng)
    short = _top_up(labels.call == CALL_NONE, unchanged, moved.sum(axis=1), rng)
    few = int((unchanged.sum(axis=0) < moved.sum(axis=0)).sum())
    notes = []
    if few:
        notes.append(f"{few} genes move at so many perturbations that they have fewer unchanged than moved rows")
    if short:
        notes.append(f"{short} perturbations leave so few genes unchanged that they have more moved rows")
    pert, gene = np.nonzero(moved | unchanged)
    return Pairs(pert, gene, tuple(notes))


def _strongest(labels: Labels, top: int) -> np.ndarray:
    """The ``top`` moved genes of each perturbation, (K, A) bool."""
    chosen = np.zeros(labels.call.shape, bool)
    for p, moves in enumerate(labels.moved):
        genes = np.flatnonzero(moves)
        order = np.lexsort((-np.abs(labels.log2fc[p, genes]), labels.fdr[p, genes]))
        chosen[p, genes[order[:top]]] = True
    return chosen


def _matched(unchanged: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """``wanted`` unchanged pairs of each gene, or all there are, (K, A) bool."""
    chosen = np.zeros(unchanged.shape, bool)
    for gene in np.flatnonzero(wanted):
        perts = np.flatnonzero(unchanged[:, gene])
        chosen[rng.choice(perts, min(wanted[gene], len(perts)), replace=False), gene] = True
    return chosen


def _top_up(unchanged: np.ndarray, chosen: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> int:
    """Add to ``chosen`` until each perturbation has ``wanted`` pairs; returns how many have not enough genes."""
    short = 0
    for p in np.flatnonzero(chosen.sum(axis=1) < wanted):
        missing = int(wanted[p] - chosen[p].sum())
        genes = np.flatnonzero(unchanged[p] & ~chosen[p])
        chosen[p, rng.choice(genes, min(missing, len(genes)), replace=False)] = True
        short += missing > len(genes)
    return short
