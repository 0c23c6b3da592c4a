"""``perturbarena screen null``: what chance alone would find in a screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_bar
from perturbarena.cli.screen_fit import (
    Cluster,
    Controls,
    Flavor,
    Genes,
    Json,
    LocalWorkers,
    MinCells,
    Seed,
    ShardOption,
    Workers,
    block_runner,
    number_or_all,
    print_remaining,
    settings_of,
    shard_of,
)
from perturbarena.cli.screen_options import (
    BatchColumn,
    ControlValue,
    GuideCountsKey,
    LayerName,
    PerturbationColumn,
    SizeFactorColumn,
)

if TYPE_CHECKING:
    from perturbarena.screen import NullCalibration


def attach(group: typer.Typer) -> None:
    """Add ``null`` to the group ``screen``."""
    group.command()(null)


def null(
    screen: Annotated[Path, typer.Argument(help="AnnData with raw counts (.h5ad or .zarr).")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write the result (JSON); makes the run resumable, parts lie beside it."
        ),
    ] = None,
    effects: Annotated[
        Path | None,
        typer.Option(
            help="The effect table of this screen, made before: real perturbations are not fitted again."
        ),
    ] = None,
    perturbation: PerturbationColumn = "perturbation",
    control: ControlValue = "control",
    batch: BatchColumn = None,
    null_unit: Annotated[
        str, typer.Option("--null-unit", help="Column of obs that names a control cell's guide or control gene.")
    ] = "guide",
    nulls: Annotated[int, typer.Option(min=1, help="Artificial perturbations.")] = 500,
    guide_counts: GuideCountsKey = None,
    size_factors: SizeFactorColumn = None,
    layer: LayerName = None,
    controls: Controls = "2000",
    genes: Genes = "all",
    flavor: Flavor = "seurat_v3",
    min_cells: MinCells = 25,
    seed: Seed = 0,
    workers: Workers = None,
    cluster: Cluster = None,
    local_workers: LocalWorkers = None,
    shard: ShardOption = None,
    figure: Annotated[Path | None, typer.Option(help="Write a QQ plot (.png, .svg or .pdf).")] = None,
    as_json: Json = False,
) -> None:
    """Test artificial perturbations made of control cells: how often chance alone makes a finding.

    Each pools the cells of four control units and goes the whole path; fold changes are shrunk with the prior of
    the real perturbations. With --output, a run that was stopped goes on where it stood when the same command is
    given again, and it can be shared out by --shard.

    Example: perturbarena screen null screen.h5ad --perturbation gene --control NT --null-unit guide --nulls 500
    """
    from perturbarena.challenge.formats import write_json
    from perturbarena.errors import InputError
    from perturbarena.screen import read_effect_table, read_screen
    from perturbarena.workflows.null import calibrate_plan, calibrate_shard, draw_null, plan_calibration

    part = shard_of(shard)
    if part is not None and output is None:
        raise InputError("--shard keeps its share beside the output; give --output")
    settings = settings_of(
        controls=number_or_all(controls, "--controls"),
        genes=number_or_all(genes, "--genes"),
        flavor=flavor,
        min_cells=min_cells,
        seed=seed,
    )
    table = None if effects is None else read_effect_table(effects)
    with (
        block_runner(workers, cluster, local_workers) as run,
        progress_bar("real perturbations") as real,
        progress_bar("nulls") as artificial,
    ):
        cells = read_screen(
            screen,
            perturbation=perturbation,
            control=control,
            batch=batch,
            guide=null_unit,
            size_factors=size_factors,
            layer=layer,
            guide_counts=guide_counts,
        )
        plan = plan_calibration(cells, settings=settings, n_nulls=nulls, effects=table)
        if part is not None and output is not None:
            left = calibrate_shard(plan, part, checkpoint=output, run=run, progress=(real, artificial))
            print_remaining(part, left, as_json=as_json)
            return
        calibration = calibrate_plan(plan, checkpoint=output, run=run, progress=(real, artificial))
    if output is not None:
        write_json(output, calibration.as_json())
    if figure is not None:
        draw_null(figure, calibration, title=f"{screen.name}: {len(calibration.units)} artificial perturbations")
    if as_json:
        print_json(calibration.as_json())
    else:
        _print_null(calibration)


def _print_null(calibration: NullCalibration) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    shrunken, plain = calibration.table(), calibration.table(shrunken=False)
    shown = Table(
        "genes found", box=box.SIMPLE_HEAD, title="Artificial perturbations by what chance found in them"
    )
    shown.add_column("by FDR and fold change", justify="right")
    shown.add_column("by FDR alone", justify="right")
    for found in sorted(set(shrunken) | set(plain)):
        shown.add_row(str(found), str(shrunken.get(found, 0)), str(plain.get(found, 0)))
    out.print(shown)
    out.print(
        f"{calibration.moved.mean():.3f} false findings a null, {calibration.real_moved:.1f} findings "
        f"a real perturbation: empirical FDR {calibration.empirical_fdr:.2%}"
    )
    if not calibration.clean:
        share = (calibration.moved_unshrunken > 0).mean()
        out.print(
            f"[yellow]the nulls are not clean:[/] {share:.1%} of them have a finding at FDR 5 %, where chance "
            "alone gives 5 %; this screen's p-values are too small (unmodelled batches? guides that act?)"
        )
