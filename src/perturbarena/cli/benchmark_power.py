"""``perturbarena benchmark power``: the smallest difference between two entrants that a question set can show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import console, print_json, progress_console

if TYPE_CHECKING:
    from perturbarena.benchmark.entrants import LabelMix
    from perturbarena.benchmark.power import Power


def attach(group: typer.Typer) -> None:
    """Add ``power`` to the group ``benchmark``."""
    group.command()(power)


def power(
    questions: Annotated[
        Path, typer.Argument(metavar="FILE.csv|BENCH", help="CSV with pert, gene, label; or train.csv's folder.")
    ],
    truth: Annotated[
        Path | None, typer.Option(help="The hidden rows' labels: solution.csv or its folder (organisers).")
    ] = None,
    mix: Annotated[
        str | None, typer.Option(help="Shares of up, down, none, e.g. 0.3,0.15,0.55: unknown labels are drawn so.")
    ] = None,
    auroc: Annotated[float, typer.Option(help="AUROC of both entrants, DE and DIR.")] = 0.6,
    pert_share: Annotated[float, typer.Option(help="Share of an error common to a perturbation's rows.")] = 0.3,
    gene_share: Annotated[float, typer.Option(help="Share of an error common to a target gene's rows.")] = 0.25,
    pert_correlation: Annotated[float, typer.Option(help="Of the entrants' errors by perturbation.")] = 0.6,
    gene_correlation: Annotated[float, typer.Option(help="Of the entrants' errors by gene.")] = 0.4,
    row_correlation: Annotated[float, typer.Option(help="Of the entrants' errors that are a row's own.")] = 0.15,
    figure: Annotated[Path | None, typer.Option(help="The curve, as .svg, .png or .pdf.")] = None,
    draws: Annotated[int, typer.Option(help="Simulated pairs of entrants for each size.")] = 20,
    resamples: Annotated[int, typer.Option(help="Resamples each way for each variance.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Seed of entrants, parts and resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """The smallest true difference of two entrants that the questions show: 80 % power, 5 % two-sided, paired.

    Hidden rows are used where there are any. Without --truth they borrow labels of training genes.

    Example: perturbarena benchmark power bench/ --truth truth/ --figure power.svg
    """
    import numpy as np
    from pydantic import ValidationError

    from perturbarena.benchmark.entrants import EntrantModel
    from perturbarena.benchmark.power import PowerSettings
    from perturbarena.errors import InputError
    from perturbarena.workflows.power import power_figure, power_of_files

    try:
        model = EntrantModel(
            auroc=auroc,
            pert_share=pert_share,
            gene_share=gene_share,
            pert_correlation=pert_correlation,
            gene_correlation=gene_correlation,
            row_correlation=row_correlation,
        )
        settings = PowerSettings(draws=draws, resamples=resamples)
    except ValidationError as error:
        raise InputError(_first(error.errors()[0])) from error
    with progress_console().status("simulating entrants"):
        found = power_of_files(
            questions,
            truth=truth,
            mix=_mix(mix),
            rng=np.random.default_rng(seed),
            model=model,
            settings=settings,
        )
    if figure is not None:
        power_figure(figure, found, title=f"Power of {questions.resolve().name}")
    if as_json:
        print_json(found.as_json() | {"questions": str(questions), "seed": seed})
    else:
        _print(found, title=str(questions))


def _mix(text: str | None) -> LabelMix | None:
    from perturbarena.benchmark.entrants import LabelMix
    from perturbarena.errors import InputError

    if text is None:
        return None
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if len(shares) != 3 or not all(share > 0 for share in shares) or abs(sum(shares) - 1) > 0.01:
        raise InputError(f"--mix needs three positive shares that sum to 1 (up,down,none); got {text!r}")
    return LabelMix(*shares)


def _first(error: Any) -> str:
    place = f"--{error['loc'][0]}: ".replace("_", "-") if error["loc"] else ""
    got = f"; got {error['input']!r}" if error["loc"] else ""
    return f"{place}{error['msg'].removeprefix('Value error, ')}{got}"


def _print(found: Power, *, title: str) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=f"[b]{escape(title)}[/]", pad_edge=False)
    for heading in ("questions", "moved", "perturbations", "genes", "score", "DE", "DIR"):
        table.add_column(heading, justify="right")
    for point in found.curve:
        counts = (point.n, point.n_moved, point.n_perts, point.n_genes)
        smallest = ("–" if x != x else f"{x:.3f}" for x in point.smallest.values())
        table.add_row(*(f"{x:,.0f}" for x in counts), *smallest, style="b" if point is found.whole else "")
    out = console()
    out.print(table)
    model, settings, labels = found.model, found.settings, found.labels
    out.print(
        f"The smallest true difference seen in {settings.power:.0%} of sets, {settings.alpha:.0%} two-sided, "
        f"paired; entrants of AUROC {model.auroc:g} whose errors correlate by {model.correlation:.2f}.",
        soft_wrap=True,
    )
    how = "known" if found.labels_known else "drawn"
    out.print(f"Labels {how}: {labels.up:.0%} up, {labels.down:.0%} down, {labels.none:.0%} none.", style="dim")
