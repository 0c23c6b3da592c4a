"""The null calibration of a question set's effects, without estimating the real perturbations again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perturbarena.errors import InputError
from perturbarena.screen import select_genes
from perturbarena.screen.cells import Cells
from perturbarena.screen.effects import Fits, Progress, design_of
from perturbarena.screen.null import calibrate, quantiles, units_of
from perturbarena.stats.shrinkage import Prior
from perturbarena.workflows.build.settings import BuildSettings
from perturbarena.workflows.build.source import Source

if TYPE_CHECKING:
    from anndata import AnnData


def null_calibration(
    source: Source,
    table: AnnData,
    settings: BuildSettings,
    *,
    seed: np.random.SeedSequence,
    workers: int | None,
    step: Progress,
) -> dict[str, Any]:
    """The calibration in plain values with the quantiles of its p-values, or the reason why there is none."""
    if settings.nulls == 0:
        return {"not_measured": "switched off (nulls = 0)"}
    if source.is_table:
        return {"not_measured": "an effect table has no control cells to make nulls of"}
    screen = source.screen
    if screen.guide is None:
        return {"not_measured": "no column names the control cells' guides (--guide)"}
    design = design_of(screen, settings.effects)
    cells = Cells.of(
        screen, select_genes(screen, settings.effects.genes, flavor=settings.effects.flavor).positions
    )
    try:
        found = calibrate(
            cells,
            design.control_rows,
            units_of(screen.guide, screen.is_control),
            prior=_prior(table),
            real=_fits(table),
            real_shrunk=np.asarray(table.layers["log2fc_shrunk"], np.float64),
            n_nulls=settings.nulls,
            rng=np.random.default_rng(seed),
            shrink_by=settings.effects.shrink_by,
            min_cells=settings.effects.min_cells,
            workers=workers,
            progress=step,
        )
    except InputError as error:
        return {"not_measured": str(error)}
    expected, observed = quantiles(found.pvalue)
    return found.as_json() | {"quantiles": {"expected": expected.tolist(), "observed": observed.tolist()}}


def _prior(table: AnnData) -> Prior:
    stored = table.uns["perturbarena"]["prior"]
    return Prior(**{name: v.item() if hasattr(v, "item") else v for name, v in stored.items()})


def _fits(table: AnnData) -> Fits:
    """The table's estimates; test statistics are not in it, and no null needs them."""
    layers = {
        name: np.asarray(table.layers[name], np.float64) for name in ("log2fc", "se_log2fc", "pvalue", "fdr")
    }
    return Fits(**layers, statistic=np.full(table.shape, np.nan), df2=table.obs["df2"].to_numpy(np.float64))
