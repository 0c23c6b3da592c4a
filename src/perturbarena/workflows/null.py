"""Null calibration of a screen from start to end, and its figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perturbarena.errors import InputError
from perturbarena.report import draw_qq
from perturbarena.screen import EffectSettings, NullCalibration, Screen, select_genes
from perturbarena.screen.cells import Cells
from perturbarena.screen.effects import Progress, design_of, fit_screen, screen_prior, shrink
from perturbarena.screen.null import calibrate, quantiles, units_of


def calibrate_screen(
    screen: Screen,
    *,
    settings: EffectSettings,
    n_nulls: int,
    workers: int | None = None,
    progress: tuple[Progress, Progress] | None = None,
) -> NullCalibration:
    """Estimate the real perturbations, fit their prior, then test the artificial ones.

    Raises
    ------
    InputError
        If the screen's guides are not known, or there are too few control units.
    """
    if screen.guide is None:
        raise InputError("null calibration needs a column that names each control cell's guide (--null-unit)")
    design = design_of(screen, settings)
    cells = Cells.of(screen, select_genes(screen, settings.genes, flavor=settings.flavor).positions)
    first, second = progress or (None, None)
    real = fit_screen(cells, design, workers=workers, progress=first)
    prior = screen_prior(real, settings)
    return calibrate(
        cells,
        design.control_rows,
        units_of(screen.guide, screen.is_control),
        prior=prior,
        real=real,
        real_shrunk=shrink(real, prior, settings.shrink_by).log2fc,
        n_nulls=n_nulls,
        rng=np.random.default_rng([settings.seed, 1]),
        shrink_by=settings.shrink_by,
        min_cells=settings.min_cells,
        workers=workers,
        progress=second,
    )


def draw_null(path: Path, calibration: NullCalibration, *, title: str) -> None:
    """A QQ plot of the artificial perturbations' p-values."""
    expected, observed = quantiles(calibration.pvalue)
    draw_qq(path, expected=expected, observed=observed, title=title)
