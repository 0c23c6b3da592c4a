"""The null calibration of a question set's effects, or why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from perturbarena.errors import InputError
from perturbarena.screen.blocks import Progress, Threads
from perturbarena.screen.null import quantiles
from perturbarena.workflows.build.settings import BuildSettings
from perturbarena.workflows.build.source import Source
from perturbarena.workflows.null import calibrate_plan, plan_calibration

if TYPE_CHECKING:
    from anndata import AnnData


def null_calibration(
    source: Source,
    table: AnnData,
    settings: BuildSettings,
    *,
    checkpoint: Path,
    workers: int | None,
    step: Progress,
) -> dict[str, Any]:
    """The calibration in plain values with the quantiles of its p-values, or the reason why there is none."""
    if settings.nulls == 0:
        return {"not_measured": "switched off (nulls = 0)"}
    if source.is_table:
        return {"not_measured": "an effect table has no control cells to make nulls of"}
    if source.screen.guide is None:
        return {"not_measured": "no column names the control cells' guides (--guide)"}
    try:
        plan = plan_calibration(source.screen, settings=settings.effects, n_nulls=settings.nulls, effects=table)
    except InputError as error:
        return {"not_measured": str(error)}
    found = calibrate_plan(plan, run=Threads(workers), checkpoint=checkpoint, progress=(step, step))
    expected, observed = quantiles(found.pvalue)
    return found.as_json() | {"quantiles": {"expected": expected.tolist(), "observed": observed.tolist()}}
