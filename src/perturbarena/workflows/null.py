"""Null calibration of a screen from start to end, and its figure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from perturbarena import __version__
from perturbarena.challenge.shards import Shard
from perturbarena.errors import InputError
from perturbarena.report import draw_qq
from perturbarena.screen import EffectSettings, NullCalibration, Screen
from perturbarena.screen.blocks import BlockRunner, Progress, Remaining, Store, Threads, fit_all, fit_shard
from perturbarena.screen.comparisons import Comparisons
from perturbarena.screen.effects import Prepared, effect_comparisons, prepare, screen_prior, shrink
from perturbarena.screen.fits import Fits
from perturbarena.screen.null import Nulls, calibrate, draw_nulls, quantiles
from perturbarena.stats.fdr import moved_genes
from perturbarena.stats.shrinkage import Prior

if TYPE_CHECKING:
    from anndata import AnnData

OF_THE_TABLE: Final = ("prior", "shrink_by", "per_perturbation")
"""Settings in which the calibration follows an effect table that it is given; the others must agree."""


class RealEffects(NamedTuple):
    """The prior of the real perturbations, and the mean number of moved genes of one."""

    prior: Prior
    moved: float


class Plan(NamedTuple):
    """The comparisons of a calibration. ``real`` is their result already where an effect table was given."""

    prepared: Prepared
    real: Comparisons | RealEffects
    nulls: Nulls


def plan_calibration(
    screen: Screen, *, settings: EffectSettings, n_nulls: int, effects: AnnData | None = None
) -> Plan:
    """Choose what to fit.

    Parameters
    ----------
    effects
        The effect table of this screen; real perturbations are not fitted again then. In the prior's family, the
        error that shrinkage takes and the way of drawing controls, it stands in place of ``settings``.

    Raises
    ------
    InputError
        If the screen's guides are not known, there are too few control units, or the effect table is of another
        screen or made under other settings.
    """
    if effects is not None:
        settings = _agreed(settings, effects)
    prepared = prepare(screen, settings)
    real = effect_comparisons(prepared)
    if effects is not None:
        _require_same_screen(effects, prepared, real)
    return Plan(prepared, real if effects is None else _tabled_effects(effects), draw_nulls(prepared, n_nulls))


def calibrate_screen(
    screen: Screen,
    *,
    settings: EffectSettings,
    n_nulls: int,
    effects: AnnData | None = None,
    workers: int | None = None,
) -> NullCalibration:
    """:func:`plan_calibration`, then :func:`calibrate_plan` by threads of this process."""
    plan = plan_calibration(screen, settings=settings, n_nulls=n_nulls, effects=effects)
    return calibrate_plan(plan, run=Threads(workers))


def calibrate_plan(
    plan: Plan,
    *,
    run: BlockRunner | None = None,
    checkpoint: Path | None = None,
    progress: tuple[Progress, Progress] | None = None,
) -> NullCalibration:
    """Estimate the real perturbations, fit their prior, then test the artificial ones.

    ``run`` and ``checkpoint`` are those of :func:`perturbarena.screen.estimate_effects`.
    """
    first, second = progress or (None, None)
    stores: list[Store] = []

    def fits_of(comparisons: Comparisons, step: Progress | None) -> Fits:
        store = None if checkpoint is None else Store.beside(checkpoint, comparisons)
        stores.extend([] if store is None else [store])
        return fit_all(comparisons, run=run, store=store, progress=step)

    settings = plan.prepared.settings
    real = plan.real
    if isinstance(real, Comparisons):
        real = _real_effects(fits_of(real, first), settings)
    null = fits_of(plan.nulls.comparisons, second)
    calibration = calibrate(
        plan.nulls, null, prior=real.prior, real_moved=real.moved, shrink_by=settings.shrink_by
    )
    for store in stores:
        store.remove()
    return calibration


def calibrate_shard(
    plan: Plan,
    shard: Shard,
    *,
    checkpoint: Path,
    run: BlockRunner | None = None,
    progress: tuple[Progress, Progress] | None = None,
) -> Remaining:
    """Fit one job's share, and keep it beside ``checkpoint`` for :func:`calibrate_plan`."""
    first, second = progress or (None, None)
    todo = [(plan.real, first)] if isinstance(plan.real, Comparisons) else []
    left = [
        fit_shard(comparisons, shard, store=Store.beside(checkpoint, comparisons), run=run, progress=step)
        for comparisons, step in [*todo, (plan.nulls.comparisons, second)]
    ]
    return Remaining(sum(part.missing for part in left), sum(part.total for part in left))


def _real_effects(fits: Fits, settings: EffectSettings) -> RealEffects:
    prior = screen_prior(fits, settings)
    moved = moved_genes(fits.fdr, shrink(fits, prior, settings.shrink_by).log2fc)
    return RealEffects(prior, float(moved.sum(axis=1).mean()))


def _tabled_effects(effects: AnnData) -> RealEffects:
    """The same from an effect table; its shrunken fold changes are float32."""
    prior = {name: np.asarray(value).item() for name, value in effects.uns["perturbarena"]["prior"].items()}
    estimated = ~np.isnan(np.asarray(effects.obs["df2"], np.float64))
    fdr, shrunk = (np.asarray(effects.layers[name])[estimated] for name in ("fdr", "log2fc_shrunk"))
    return RealEffects(Prior(**prior), float(moved_genes(fdr, shrunk).sum(axis=1).mean()))


def _agreed(settings: EffectSettings, effects: AnnData) -> EffectSettings:
    made = EffectSettings(**json.loads(effects.uns["perturbarena"]["settings"]))
    for name in EffectSettings.model_fields:
        theirs, ours = (
            "all" if value is None else value for value in (getattr(made, name), getattr(settings, name))
        )
        if name not in OF_THE_TABLE and theirs != ours:
            option = "--" + name.replace("_", "-")
            raise InputError(f"the effect table was made with {option} {theirs}, this calibration has {ours}")
    return made


def _require_same_screen(effects: AnnData, prepared: Prepared, real: Comparisons) -> None:
    about = effects.uns["perturbarena"]
    if about.get("comparisons") == real.digest:
        return
    source, design = prepared.screen.source, prepared.design
    if about["perturbarena"] != __version__ or "comparisons" not in about:
        raise InputError(
            f"the effect table is by another version, perturbarena {about['perturbarena']}; make it anew"
        )
    genes = prepared.screen.genes[prepared.genes.positions]
    if list(effects.var_names) != list(genes):
        raise InputError(
            f"the effect table has other genes than {source}: {effects.n_vars:,}, of which "
            f"{len(set(effects.var_names) & set(genes)):,} are among the {len(genes):,} here"
        )
    if list(effects.obs_names) != list(design.perturbations):
        raise InputError(
            f"the effect table has other perturbations than {source}: {effects.n_obs:,}, of which "
            f"{len(set(effects.obs_names) & set(design.perturbations)):,} are among the "
            f"{len(design.perturbations):,} here"
        )
    raise InputError(
        f"the effect table is not of {source}: genes and perturbations agree; counts, cells, --batch or "
        "--size-factors do not"
    )


def draw_null(path: Path, calibration: NullCalibration, *, title: str) -> None:
    """A QQ plot of the artificial perturbations' p-values."""
    expected, observed = quantiles(calibration.pvalue)
    draw_qq(path, expected=expected, observed=observed, title=title)
