"""``perturbarena screen simulate``: a screen whose true effects are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import console, print_json, progress_bar

if TYPE_CHECKING:
    from perturbarena.screen import SimulatedScreen


def attach(group: typer.Typer) -> None:
    """Add ``simulate`` to the group ``screen``."""
    group.command()(simulate)


def simulate(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The screen (.h5ad); its truth goes beside it, *.truth.h5ad.")
    ],
    perturbations: Annotated[int, typer.Option(help="Knocked-out genes.")] = 482,
    genes: Annotated[int, typer.Option(help="Measured genes.")] = 10_000,
    cells_per_perturbation: Annotated[int, typer.Option(help="Cells of each knocked-out gene.")] = 100,
    control_cells: Annotated[int, typer.Option(help="Cells with a control guide.")] = 4000,
    control_guides: Annotated[int, typer.Option(help="Control guides.")] = 40,
    batches: Annotated[int, typer.Option(help="Batches.")] = 4,
    counts_per_gene: Annotated[float, typer.Option(help="Mean count a gene and cell.")] = 0.4,
    own_transcript: Annotated[
        bool, typer.Option(help="Lower the knocked-out gene's own transcript, where it is measured.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Simulate a Perturb-seq screen: modules, hub genes, weak guides, batches, ambient counts. The truth is kept.

    Columns of obs: perturbation (control cells: control), guide, batch.

    Example: perturbarena screen simulate -o SIM.h5ad --perturbations 482 --genes 10000 --seed 1
    """
    import numpy as np
    from pydantic import ValidationError

    from perturbarena.errors import InputError
    from perturbarena.screen import SimulationSettings, simulate_screen, write_simulation
    from perturbarena.screen.simulate import check_simulation_path

    check_simulation_path(output)
    try:
        settings = SimulationSettings(
            perturbations=perturbations,
            genes=genes,
            cells_per_perturbation=cells_per_perturbation,
            control_cells=control_cells,
            control_guides=control_guides,
            batches=batches,
            counts_per_gene=counts_per_gene,
            knockdown=SimulationSettings().knockdown if own_transcript else None,
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise InputError(f"{option}: {first['msg']}; got {first['input']!r}") from error
    with progress_bar("cells") as progress:
        screen = simulate_screen(np.random.default_rng(seed), settings, progress=progress)
    truth = write_simulation(output, screen)
    summary = _summary(screen) | {"output": str(output), "truth": str(truth)}
    if as_json:
        print_json(summary)
    else:
        _print(summary)


def _summary(screen: SimulatedScreen) -> dict[str, Any]:
    import numpy as np

    n_cells, n_genes = screen.counts.get_shape()
    quartiles = np.quantile(screen.network.expected_called, [0.25, 0.5, 0.75])
    return {
        "cells": n_cells,
        "genes": n_genes,
        "perturbations": len(screen.perturbations),
        "counts_per_cell": float(screen.counts.data.sum(dtype=np.int64) / n_cells),
        "zeros": 1 - screen.counts.nnz / (n_cells * n_genes),
        "expected_called_quartiles": quartiles.tolist(),
    }


def _print(summary: dict[str, Any]) -> None:
    out = console()
    low, median, high = summary["expected_called_quartiles"]
    out.print(
        f"[b]{summary['perturbations']:,}[/] perturbations and controls: {summary['cells']:,} cells × "
        f"{summary['genes']:,} genes, {summary['counts_per_cell']:,.0f} counts a cell, "
        f"{summary['zeros']:.0%} zeros"
    )
    out.print(
        f"genes expected to be called in a perturbation: median {median:,.0f}, "
        f"quartiles {low:,.0f} and {high:,.0f}"
    )
    out.print(f"written to [b]{summary['output']}[/], the truth to [b]{summary['truth']}[/]")
