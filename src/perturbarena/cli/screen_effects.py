"""``perturbarena screen effects`` and ``screen null``: counts → effect table, and what chance alone would find."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from perturbarena.cli.output import console, print_json, progress_bar
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

    from perturbarena.screen import EffectSettings, NullCalibration

Controls = Annotated[str, typer.Option(help="Control cells drawn once and shared by all perturbations; or all.")]
Genes = Annotated[str, typer.Option(help="Highly variable genes to test; or all.")]
MinCells = Annotated[int, typer.Option(min=1, help="Perturbations with fewer cells are left out, with a reason.")]
Flavor = Annotated[str, typer.Option(help="How variable genes are told: seurat_v3 or seurat.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of what is drawn.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads; default: one a processor.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


def attach(group: typer.Typer) -> None:
    """Add ``effects`` and ``null`` to the group ``screen``."""
    group.command()(effects)
    group.command()(null)


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
    figure: Annotated[
        Path | None, typer.Option(help="Draw volcano plots of the strongest perturbations (.png, .svg, .pdf).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Estimate the effect of every perturbation on every gene: fold change, standard error, p, FDR, shrunken.

    A run that was stopped goes on where it stood when the same command is given again.

    Example: perturbarena screen effects screen.h5ad -o effects.zarr --perturbation gene --control NT --batch lane
    """
    from perturbarena.screen import estimate_effects, read_screen, write_effect_table
    from perturbarena.screen.table import check_suffix
    from perturbarena.workflows.volcano import volcano_figure

    check_suffix(output)
    settings = _settings(
        controls=_number(controls, "--controls"),
        genes=_number(genes, "--genes"),
        flavor=flavor,
        min_cells=min_cells,
        per_perturbation=per_perturbation,
        prior=prior,
        shrink_by=shrink_by,
        seed=seed,
    )
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
    with progress_bar("perturbations") as progress:
        table = estimate_effects(cells, settings=settings, workers=workers, checkpoint=output, progress=progress)
    write_effect_table(output, table)
    if figure is not None:
        volcano_figure(figure, table, title=f"{screen.name}: shrunken effects against controls")
    if as_json:
        print_json(_summary(table) | {"output": str(output)})
    else:
        _print_effects(table, output)


def null(
    screen: Annotated[Path, typer.Argument(help="AnnData with raw counts (.h5ad or .zarr).")],
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
    figure: Annotated[Path | None, typer.Option(help="Write a QQ plot (.png, .svg or .pdf).")] = None,
    as_json: Json = False,
) -> None:
    """Test artificial perturbations made of control cells: how often chance alone makes a finding.

    Each pools the cells of four control units and goes the whole path; fold changes are shrunk with the prior of
    the real perturbations.

    Example: perturbarena screen null screen.h5ad --perturbation gene --control NT --null-unit guide --nulls 500
    """
    from perturbarena.screen import read_screen
    from perturbarena.workflows.null import calibrate_screen, draw_null

    settings = _settings(
        controls=_number(controls, "--controls"),
        genes=_number(genes, "--genes"),
        flavor=flavor,
        min_cells=min_cells,
        seed=seed,
    )
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
    with progress_bar("real perturbations") as real, progress_bar("nulls") as artificial:
        calibration = calibrate_screen(
            cells, settings=settings, n_nulls=nulls, workers=workers, progress=(real, artificial)
        )
    if figure is not None:
        draw_null(figure, calibration, title=f"{screen.name}: {len(calibration.units)} artificial perturbations")
    if as_json:
        print_json(calibration.as_json())
    else:
        _print_null(calibration)


def _settings(**values: Any) -> EffectSettings:
    from pydantic import ValidationError

    from perturbarena.errors import InputError
    from perturbarena.screen import EffectSettings

    try:
        return EffectSettings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{first['loc'][0]}: {first['msg']}; got {first['input']!r}") from error


def _number(text: str, option: str) -> int | None:
    from perturbarena.errors import InputError

    if text == "all":
        return None
    if not text.isdigit() or int(text) < 1:
        raise InputError(f"{option} takes a positive number or all; got {text!r}")
    return int(text)


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
    from rich.table import Table

    out, summary = console(), _summary(table)
    out.print(
        f"[b]{summary['estimated']}[/] of {summary['perturbations']} perturbations × {table.n_vars:,} genes, "
        f"against {summary['control_cells']:,} control cells"
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
    out.print(f"written to [b]{output}[/]")


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
