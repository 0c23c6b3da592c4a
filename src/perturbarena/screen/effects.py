"""Perturb-seq counts → the effect of every perturbation on every gene.

Each perturbation is one regression against the shared control cells (:mod:`perturbarena.stats.nb_glm`); a prior
over all fold changes of the screen then shrinks them (:mod:`perturbarena.stats.shrinkage`). Perturbations are
fitted in blocks by threads that leave the interpreter free; a finished block is kept on disk, so that a run that
was stopped goes on where it stood.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perturbarena import __version__
from perturbarena.challenge.formats import atomic
from perturbarena.errors import InputError
from perturbarena.screen.cells import Cells, Controls
from perturbarena.screen.design import Design, design_screen
from perturbarena.screen.features import select_genes
from perturbarena.screen.read import Screen, from_anndata
from perturbarena.screen.table import effect_table
from perturbarena.stats.nb_glm import PerturbationFit
from perturbarena.stats.shrinkage import Prior, fit_prior, posterior

if TYPE_CHECKING:
    from anndata import AnnData

BLOCK: Final = 16
"""Perturbations that are fitted, and kept, together."""

PER_GENE: Final = ("log2fc", "se_log2fc", "pvalue", "fdr", "statistic")
"""What a fit gives for each gene, and the table keeps."""

Progress = Callable[[int, int], None]
"""Called with the number of perturbations done and the number of all."""


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


@dataclass(frozen=True, slots=True)
class Fits:
    """Unshrunken results of k perturbations on G genes: arrays (k, G) float64; NaN where nothing was estimated.

    ``df2``, shape (k,), are the degrees of freedom of the F test's denominator.
    """

    log2fc: np.ndarray
    se_log2fc: np.ndarray
    pvalue: np.ndarray
    fdr: np.ndarray
    statistic: np.ndarray
    df2: np.ndarray

    @classmethod
    def of(cls, fits: Sequence[PerturbationFit]) -> Fits:
        """One row for each."""
        rows = {name: np.stack([getattr(f, name) for f in fits]) for name in PER_GENE}
        return cls(**rows, df2=np.array([f.df2 for f in fits]))

    @property
    def estimated(self) -> np.ndarray:
        """Which of the k were estimated, bool."""
        return ~np.isnan(self.df2)

    @classmethod
    def empty(cls, k: int, n_genes: int) -> Fits:
        """All NaN."""
        rows = {name: np.full((k, n_genes), np.nan) for name in PER_GENE}
        return cls(**rows, df2=np.full(k, np.nan))

    def error(self, shrink_by: str) -> np.ndarray:
        """What shrinkage takes for each fold change's error, shape (k, G)."""
        if shrink_by == "standard_error":
            return self.se_log2fc
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.abs(self.log2fc) / np.sqrt(self.statistic)
        return np.where((error > 0) & np.isfinite(error), error, self.se_log2fc)


class Shrunk(NamedTuple):
    """Shrunken fold changes (posterior means) and local false sign rates, shape (k, G)."""

    log2fc: np.ndarray
    lfsr: np.ndarray


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
    checkpoint
        A path beside which finished blocks are kept; they are removed when the table is complete.

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
    design = design_of(screen, settings)
    genes = select_genes(screen, settings.genes, flavor=settings.flavor)
    cells = Cells.of(screen, genes.positions)
    store = None if checkpoint is None else _Store.beside(checkpoint, screen, settings)
    fits = fit_screen(cells, design, workers=workers, store=store, progress=progress)
    prior = screen_prior(fits, settings)
    shrunk = shrink(fits, prior, settings.shrink_by)
    table = effect_table(screen, design, genes, fits, shrunk, provenance=_provenance(settings, prior, genes.note))
    if store is not None:
        store.remove()
    return table


def design_of(screen: Screen, settings: EffectSettings) -> Design:
    """The cells that are compared under these settings."""
    return design_screen(
        screen,
        min_cells=settings.min_cells,
        n_controls=settings.controls,
        rng=np.random.default_rng(settings.seed),
        per_perturbation=settings.per_perturbation,
    )


def fit_screen(
    cells: Cells,
    design: Design,
    *,
    workers: int | None = None,
    store: _Store | None = None,
    progress: Progress | None = None,
) -> Fits:
    """Fit every perturbation of the design that can be estimated; rows stand in the design's order."""
    todo = np.flatnonzero(design.estimable)
    if not len(todo):
        raise InputError(f"no perturbation can be estimated; {design.perturbations[0]}: {design.reason[0]}")
    own = design.own_control_rows or ()
    shared = Controls.of(cells, design.control_rows)

    def test(i: int) -> PerturbationFit:
        controls = Controls.of(cells, own[i]) if own else shared
        return controls.test(design.rows[i])

    fits = Fits.empty(len(design.perturbations), cells.n_genes)
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for first in range(0, len(todo), BLOCK):
            block = todo[first : first + BLOCK]
            rows = None if store is None else store.load(first)
            if rows is None:
                rows = Fits.of(list(pool.map(test, block)))
                if store is not None:
                    store.save(first, rows)
            for name in Fits.__dataclass_fields__:
                getattr(fits, name)[block] = getattr(rows, name)
            if progress is not None:
                progress(first + len(block), len(todo))
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


@dataclass(frozen=True, slots=True)
class _Store:
    """Finished blocks of one run; another input or other settings have another folder."""

    folder: Path

    @classmethod
    def beside(cls, path: Path, screen: Screen, settings: EffectSettings) -> _Store:
        digest = hashlib.sha256(settings.model_dump_json().encode())
        digest.update(__version__.encode())
        for array in (screen.counts.indptr, screen.counts.indices, screen.counts.data):
            digest.update(np.ascontiguousarray(array).tobytes())
        for array in (screen.perturbation, screen.batch, screen.genes):
            digest.update("\0".join(map(str, array)).encode())
        if screen.size_factor is not None:
            digest.update(screen.size_factor.tobytes())
        return cls(path.with_name(f".{path.name}.{digest.hexdigest()[:12]}.partial"))

    def save(self, first: int, rows: Fits) -> None:
        with atomic(self._path(first), binary=True) as file:
            np.savez(file, **{name: getattr(rows, name) for name in Fits.__dataclass_fields__})

    def load(self, first: int) -> Fits | None:
        if not self._path(first).exists():
            return None
        with np.load(self._path(first)) as arrays:
            return Fits(**arrays)

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, first: int) -> Path:
        return self.folder / f"block-{first:06d}.npz"


def _provenance(settings: EffectSettings, prior: Prior, genes: str) -> dict[str, Any]:
    return {
        "format_version": 1,
        "perturbarena": __version__,
        "settings": json.dumps(settings.model_dump()),
        "prior": {name: value for name, value in asdict(prior).items() if value is not None},
        "genes": genes,
    }
