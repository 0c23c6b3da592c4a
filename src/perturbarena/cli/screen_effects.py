"""``perturbarena screen effects``: counts → effect table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from perturbarena.challenge.words import counted
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
    GuideColumn,
    GuideCountsKey,
    LayerName,
    PerturbationColumn,
    SizeFactorColumn,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def attach(group: typer.Typer) -> None:
    """Add ``effects`` to the group ``screen``."""
    group.command()(effects)


def effects(
    screen: Annotated[Path, typer.Argument(help="AnnData with raw counts (.h5ad or .zarr).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The effect table (.h5ad or .zarr).")],
    perturbation: PerturbationColumn = "perturbation",
    control: ControlValue = "control",
    batch: BatchColumn = None,
    guide: GuideColumn = None,
    guide_counts: GuideCountsKey = None,
    size_factors: SizeFactorColumn = None,
    layer: LayerName = None,
    controls: Controls = "2000",
    per_perturbation: Annotated[
        bool, typer.Option("--controls-per-perturbation", help="Draw the controls anew for each perturbation.")
    ] = False,
    genes: Genes = "all",
    flavor: Flavor = "seurat_v3",
    min_cells: MinCells = 25,
    prior: Annotated[str, typer.Option(help="point_normal, normal or point_laplace.")] = "point_normal",
    shrink_by: Annotated[
        str, typer.Option(help="Error of a fold change: standard_error, or lfc_over_root_f.")
    ] = "standard_error",
    seed: Seed = 0,
    workers: Workers = None,
    cluster: Cluster = None,
    local_workers: LocalWorkers = None,
    shard: ShardOption = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw volcano plots of the strongest perturbations (.png, .svg, .pdf).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate the effect of every perturbation on every gene: fold change, standard error, p, FDR, shrunken.

    A run that was stopped goes on where it stood when the same command is given again. For many machines there are
    --cluster, and --shard for each job of an array.

    Example: perturbarena screen effects screen.h5ad -o effects.zarr --perturbation gene --control NT --batch lane
    """
    from perturbarena.screen import estimate_effects, read_screen, write_effect_table
    from perturbarena.screen.effects import estimate_shard
    from perturbarena.screen.table import check_suffix
    from perturbarena.workflows.volcano import volcano_figure

    check_suffix(output)
    settings = settings_of(
        controls=number_or_all(controls, "--controls"),
        genes=number_or_all(genes, "--genes"),
        flavor=flavor,
        min_cells=min_cells,
        per_perturbation=per_perturbation,
        prior=prior,
        shrink_by=shrink_by,
        seed=seed,
    )
    part = shard_of(shard)
    with block_runner(workers, cluster, local_workers) as run, progress_bar("perturbations") as progress:
        cells = read_screen(
            screen,
            perturbation=perturbation,
            control=control,
            batch=batch,
            guide=guide,
            size_factors=size_factors,
            layer=layer,
            guide_counts=guide_counts,
        )
        if part is not None:
            left = estimate_shard(cells, part, settings=settings, checkpoint=output, run=run, progress=progress)
            print_remaining(part, left, as_json=as_json)
            return
        table = estimate_effects(cells, settings=settings, run=run, checkpoint=output, progress=progress)
    write_effect_table(output, table)
    if figure is not None:
        volcano_figure(figure, table, title=f"{screen.name}: shrunken effects against controls")
    if as_json:
        print_json(_summary(table) | {"output": str(output)})
    else:
        _print_effects(table, output)
        if figure is not None:
            from rich.markup import escape

            console().print(f"figure: [b]{escape(str(figure))}[/]", soft_wrap=True)


def _summary(table: AnnData) -> dict[str, Any]:
    obs = _obs(table)
    estimated = obs["reason"] == ""
    left_out = obs.loc[~estimated, "reason"]
    return {
        "perturbations": len(obs),
        "estimated": int(estimated.sum()),
        "genes": table.n_vars,
        "control_cells": int(table.uns["perturbarena"]["n_control_cells"]),
        "prior": {name: _plain(value) for name, value in table.uns["perturbarena"]["prior"].items()},
        "left_out": {str(name): str(reason) for name, reason in left_out.items()},
    }


def _obs(table: AnnData) -> pd.DataFrame:
    return cast("pd.DataFrame", table.obs)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _print_effects(table: AnnData, output: Path) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    out, summary = console(), _summary(table)
    out.print(
        f"[b]{summary['estimated']}[/] of {summary['perturbations']} perturbations × {table.n_vars:,} genes, "
        f"against {counted(summary['control_cells'], 'control cell')}"
    )
    prior = summary["prior"]
    out.print(
        f"prior: {prior['family']}, {1 - prior['pi0']:.1%} of effects are not zero, "
        f"their scale is {prior['scale']:.2f} (log2)",
        style="dim",
    )
    obs = _obs(table)
    rows = obs[obs["reason"] == ""].sort_values("n_significant", ascending=False)
    shown = Table("perturbation", box=box.SIMPLE_HEAD)
    shown.add_column("cells", justify="right")
    shown.add_column("genes at FDR 5 %", justify="right")
    for name, row in rows.head(12).iterrows():
        shown.add_row(str(name), f"{row['n_cells']:,}", f"{row['n_significant']:,}")
    if len(rows) > 12:
        shown.add_row(f"… {len(rows) - 12} more", "", "", style="dim")
    out.print(shown)
    for name, reason in summary["left_out"].items():
        out.print(f"[yellow]left out[/] {name}: {reason}")
    out.print(f"written to [b]{escape(str(output))}[/]", soft_wrap=True)
