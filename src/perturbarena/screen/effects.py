"""Perturb-seq counts → the effect of every perturbation on every gene.

Each perturbation is one regression against the shared control cells (:mod:`perturbarena.stats.nb_glm`); a prior
over all fold changes of the screen then shrinks them (:mod:`perturbarena.stats.shrinkage`). Perturbations are
fitted in blocks (:mod:`perturbarena.screen.blocks`); a finished block is kept on disk, so that a run that was
stopped goes on where it stood.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perturbarena import __version__
from perturbarena.challenge.shards import Shard
from perturbarena.errors import InputError
from perturbarena.screen.blocks import BlockRunner, Progress, Remaining, Store, Threads, fit_all, fit_shard
from perturbarena.screen.cells import Cells, Controls
from perturbarena.screen.comparisons import Comparisons
from perturbarena.screen.design import Design, design_screen
from perturbarena.screen.features import GeneSelection, select_genes
from perturbarena.screen.fits import Fits, Shrunk
from perturbarena.screen.read import Screen, ScreenFile, from_anndata
from perturbarena.screen.table import effect_table
from perturbarena.stats.shrinkage import Prior, fit_prior, posterior

if TYPE_CHECKING:
    from anndata import AnnData


class EffectSettings(BaseModel):
    """How effects are estimated."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    controls: Annotated[int, Field(gt=0)] | None = 2000
    """Control cells, drawn once and shared by all perturbations; None takes every one."""
    genes: Annotated[int, Field(gt=0)] | None = None
    """Highly variable genes to test; None tests every gene."""
    flavor: Literal["seurat_v3", "seurat"] = "seurat_v3"
    """How highly variable genes are told."""
    per_perturbation: bool = False
    """Draw the control cells anew for each perturbation instead of sharing one draw."""
    min_cells: Annotated[int, Field(gt=0)] = 25
    """A perturbation with fewer cells is left out, with the reason."""
    prior: Literal["point_normal", "normal", "point_laplace"] = "point_normal"
    """Family of the prior over true log2 fold changes."""
    shrink_by: Literal["standard_error", "lfc_over_root_f"] = "standard_error"
    """What shrinkage takes for the error of a fold change: its standard error, or |log2fc|/√F."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draw of control cells."""


def estimate_effects(
    adata: AnnData | Screen,
    *,
    perturbation: str = "perturbation",
    control: str = "control",
    batch: str | None = None,
    guide: str | None = None,
    size_factors: str | None = None,
    layer: str | None = None,
    settings: EffectSettings | None = None,
    workers: int | None = None,
    run: BlockRunner | None = None,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> AnnData:
    """The effect table of a screen.

    Parameters
    ----------
    adata
        Cells × genes with raw counts, or a :class:`Screen` that was read before (the column names are then not
        looked at).
    perturbation, control, batch, guide, size_factors, layer
        As in :func:`perturbarena.screen.from_anndata`.
    workers
        Threads; the number of processors by default. The result does not depend on it.
    run
        What fits the blocks instead of threads, such as :func:`perturbarena.screen.cluster.on_cluster`.
    checkpoint
        A path beside which finished blocks are kept; they are removed when the table is complete. Blocks of
        other jobs (:func:`estimate_shard`) are taken from there.

    Returns
    -------
    AnnData
        Perturbations × genes, layers ``log2fc``, ``se_log2fc``, ``log2fc_shrunk``, ``lfsr``, ``pvalue``, ``fdr``;
        ``uns["perturbarena"]`` holds settings, prior and versions.

    Raises
    ------
    InputError
        If the screen is refused (:func:`from_anndata`), or no perturbation has enough cells.
    """
    settings = settings or EffectSettings()
    screen = (
        adata
        if isinstance(adata, Screen)
        else from_anndata(
            adata,
            perturbation=perturbation,
            control=control,
            batch=batch,
            guide=guide,
            size_factors=size_factors,
            layer=layer,
        )
    )
    prepared = prepare(screen, settings)
    comparisons = effect_comparisons(prepared)
    store = None if checkpoint is None else Store.beside(checkpoint, comparisons)
    estimable = fit_all(comparisons, run=run or Threads(workers), store=store, progress=progress)
    fits = in_order(estimable, prepared.design)
    prior = screen_prior(fits, settings)
    table = effect_table(
        screen,
        prepared.design,
        prepared.genes,
        fits,
        shrink(fits, prior, settings.shrink_by),
        provenance=_provenance(prepared, prior, comparisons),
    )
    if store is not None:
        store.remove()
    return table


def estimate_shard(
    screen: Screen,
    shard: Shard,
    *,
    checkpoint: Path,
    settings: EffectSettings,
    run: BlockRunner | None = None,
    progress: Progress | None = None,
) -> Remaining:
    """Fit one job's share of the perturbations, and keep it beside ``checkpoint`` for :func:`estimate_effects`."""
    comparisons = effect_comparisons(prepare(screen, settings))
    store = Store.beside(checkpoint, comparisons)
    return fit_shard(comparisons, shard, store=store, run=run, progress=progress)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A screen under settings: which cells and genes are compared, ready to be fitted."""

    screen: Screen
    settings: EffectSettings
    design: Design
    genes: GeneSelection
    cells: Cells


def prepare(screen: Screen, settings: EffectSettings) -> Prepared:
    """Choose cells and genes."""
    design = design_screen(
        screen,
        min_cells=settings.min_cells,
        n_controls=settings.controls,
        rng=np.random.default_rng(settings.seed),
        per_perturbation=settings.per_perturbation,
    )
    genes = select_genes(screen, settings.genes, flavor=settings.flavor)
    return Prepared(screen, settings, design, genes, Cells.of(screen, genes.positions))


@lru_cache(maxsize=1)
def prepare_file(file: ScreenFile, settings: EffectSettings) -> Prepared:
    """As :func:`prepare`, for a process that is handed a file's name; the last one is kept."""
    return prepare(file.read(), settings)


def recipe_of(prepared: Prepared, make: Callable[[Prepared], Comparisons]) -> Callable[[], Comparisons] | None:
    """How another process makes the same comparisons; None for a screen that was not read from a file."""
    file = prepared.screen.file
    return None if file is None else partial(_made_from_file, file, prepared.settings, make)


def _made_from_file(
    file: ScreenFile, settings: EffectSettings, make: Callable[[Prepared], Comparisons]
) -> Comparisons:
    return make(prepare_file(file, settings))  # pyright: ignore[reportArgumentType]  # a frozen model has a hash


def effect_comparisons(prepared: Prepared) -> Comparisons:
    """Every perturbation that can be estimated, in the design's order.

    Raises
    ------
    InputError
        If there is none.
    """
    design = prepared.design
    todo = np.flatnonzero(design.estimable)
    if not len(todo):
        raise InputError(f"no perturbation can be estimated; {design.perturbations[0]}: {design.reason[0]}")
    own = design.own_control_rows
    return Comparisons(
        prepared.cells,
        perturbed=tuple(design.rows[i] for i in todo),
        controls=design.control_rows if own is None else tuple(own[i] for i in todo),
        shared=Controls.of(prepared.cells, design.control_rows) if own is None else None,
        recipe=recipe_of(prepared, effect_comparisons),
    )


def in_order(estimable: Fits, design: Design) -> Fits:
    """Fits of the perturbations that can be estimated → of all, NaN for the others."""
    _, n_genes = estimable.log2fc.shape
    fits = Fits.empty(len(design.perturbations), n_genes)
    fits.put(np.flatnonzero(design.estimable), estimable)
    return fits


def screen_prior(fits: Fits, settings: EffectSettings) -> Prior:
    """The prior over all estimated fold changes of the screen."""
    estimated = fits.estimated
    return fit_prior(settings.prior, fits.log2fc[estimated], fits.error(settings.shrink_by)[estimated])


def shrink(fits: Fits, prior: Prior, shrink_by: str) -> Shrunk:
    """Posterior means and local false sign rates under a prior, (k, G); NaN where nothing was estimated."""
    estimated = fits.estimated
    result = posterior(prior, fits.log2fc[estimated], fits.error(shrink_by)[estimated])
    shrunk = Shrunk(*(np.full(fits.log2fc.shape, np.nan) for _ in range(2)))
    shrunk.log2fc[estimated], shrunk.lfsr[estimated] = result.posterior_mean, result.lfsr
    return shrunk


def _provenance(prepared: Prepared, prior: Prior, comparisons: Comparisons) -> dict[str, Any]:
    return {
        "format_version": 1,
        "perturbarena": __version__,
        "settings": json.dumps(prepared.settings.model_dump()),
        "prior": {name: value for name, value in asdict(prior).items() if value is not None},
        "genes": prepared.genes.note,
        "comparisons": comparisons.digest,
    }
