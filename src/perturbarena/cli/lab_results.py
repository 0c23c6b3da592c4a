"""``perturbarena lab ingest | watch | status | report``: what came back, and where the campaign stands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.challenge.words import counted
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
    from perturbarena.workflows.build.source import ScreenColumns
    from perturbarena.workflows.lab import Ingested
    from perturbarena.workflows.lab.overview import Overview
    from perturbarena.workflows.lab.watch import Looked

Root = Annotated[Path, typer.Argument(metavar="CAMPAIGN", help="The campaign's folder.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
MinCells = Annotated[int, typer.Option(min=1, help="Knockouts with fewer cells count as failed.")]
SHOWN = 5
"""Surprises that are listed."""

OVERVIEW = (
    "ordered", "came", "failed", "missing", "hits", "hits\nexpected", "borne\nout", "by\nchance", "refuted", "r"
)  # fmt: skip
"""Columns of the status table."""


def attach(group: typer.Typer) -> None:
    """Add the commands to the group ``lab``."""
    for command in (ingest, watch, status, report):
        group.command()(command)


def ingest(
    root: Root,
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="Effect table, or counts (.h5ad, .zarr).")],
    perturbation: PerturbationColumn = "perturbation",
    control: ControlValue = "control",
    batch: BatchColumn = None,
    guide: GuideColumn = None,
    guide_counts: GuideCountsKey = None,
    size_factors: SizeFactorColumn = None,
    layer: LayerName = None,
    min_cells: MinCells = 25,
    anything: Annotated[
        bool, typer.Option("--anything", help="Take candidates although none of them was ordered.")
    ] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; default: one a processor.")] = None,
    as_json: Json = False,
) -> None:
    """Take in results: check that they are what was ordered, keep them, settle hypotheses, show surprises.

    The same file counts once. A command that was stopped is given again.

    Example: perturbarena lab ingest CAMPAIGN round1.h5ad --batch lane
    """
    from perturbarena.screen import EffectSettings
    from perturbarena.workflows.build.source import ScreenColumns
    from perturbarena.workflows.lab import ingest_results

    columns = ScreenColumns(perturbation, control, batch, guide, size_factors, layer, guide_counts)
    with progress_bar("perturbations") as progress:
        found = ingest_results(
            root, results, columns=columns, settings=EffectSettings(min_cells=min_cells), anything=anything,
            workers=workers, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(_ingested_json(found))
    else:
        _print_ingested(found, results)


def watch(
    root: Root,
    inbox: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where .h5ad and .zarr results are dropped.")],
    once: Annotated[bool, typer.Option("--once", help="Look once; exit code 1 where a file was refused.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 10.0,
    settle: Annotated[float, typer.Option(min=0.0, help="Leave files changed within so many seconds.")] = 2.0,
    propose: Annotated[
        str | None, typer.Option(metavar="STRATEGY", help="Write the next order when a round has come back.")
    ] = None,
    perturbation: PerturbationColumn = "perturbation",
    control: ControlValue = "control",
    batch: BatchColumn = None,
    guide: GuideColumn = None,
    min_cells: MinCells = 25,
    as_json: Json = False,
) -> None:
    """Take in whatever is dropped into a folder, each content once, until interrupted.

    Example: perturbarena lab watch CAMPAIGN inbox/ --propose hit
    """
    from perturbarena.screen import EffectSettings
    from perturbarena.workflows.build.source import ScreenColumns
    from perturbarena.workflows.lab import ProposePlan
    from perturbarena.workflows.lab.watch import WatchPlan, look
    from perturbarena.workflows.lab.watch import watch as keep_watching

    columns: ScreenColumns = ScreenColumns(perturbation, control, batch, guide)
    plan = WatchPlan(
        inbox=inbox, columns=columns, settings=EffectSettings(min_cells=min_cells),
        propose=None if propose is None else ProposePlan(strategy=propose), every_s=every, settle_s=settle,
    )  # fmt: skip

    def tell(one: Looked) -> None:
        _tell(one, as_json=as_json)

    if not once:
        keep_watching(root, plan, tell=tell)
        return
    looked = list(look(root, plan, seen={}))
    for one in looked:
        tell(one)
    if any(one.refused for one in looked):
        raise typer.Exit(1)


def status(root: Root, as_json: Json = False) -> None:
    """Where the campaign stands: rounds, hits, hypotheses, what is waited for.

    Example: perturbarena lab status CAMPAIGN
    """
    from perturbarena.workflows.lab.overview import overview_of

    found = overview_of(root)
    if as_json:
        print_json(found.as_json())
    else:
        _print_overview(found)


def report(
    root: Root,
    output: Annotated[Path, typer.Option("-o", "--output", help="The page (.html).")],
    as_json: Json = False,
) -> None:
    """Write one page on the campaign: hits over rounds, expected against seen, every hypothesis and its fate.

    Example: perturbarena lab report CAMPAIGN -o campaign.html
    """
    from perturbarena.workflows.lab.report import report_campaign

    found = report_campaign(root, output)
    if as_json:
        print_json(found.as_json() | {"page": str(output)})
    else:
        console().print(
            f"[b]{output}[/]: {counted(len(found.rounds), 'round')}, {counted(len(found.hits), 'hit')}"
        )


def _tell(one: Looked, *, as_json: bool) -> None:
    from rich.markup import escape

    if as_json:
        body = {"refused": one.refused} if one.ingested is None else _ingested_json(one.ingested)
        ordered = None if one.ordered is None else {"round": one.ordered.number, "plate": str(one.ordered.plate)}
        print_json({"file": str(one.path), **body, "ordered": ordered})
        return
    if one.ingested is None:
        console().print(f"[red]refused[/] {escape(one.path.name)}: {escape(one.refused)}", soft_wrap=True)
    else:
        _print_ingested(one.ingested, one.path)
    if one.ordered is not None:
        console().print(f"round {one.ordered.number} ordered: [b]{one.ordered.plate}[/]", soft_wrap=True)


def _ingested_json(found: Ingested) -> dict:
    return {
        "round": found.number,
        "already": found.already,
        "arrived": found.arrived.as_json(),
        "notes": list(found.notes),
        "values": found.values,
        "hits": list(found.hits),
        "hypotheses": [s.as_json() for s in found.settled],
        "surprises": [s.as_json() for s in found.surprises],
    }


def _print_ingested(found: Ingested, path: Path) -> None:
    from rich.markup import escape

    out = console()
    if found.already:
        out.print(f"[b]{escape(path.name)}[/] was ingested before, for round {found.number}; nothing changed")
        return
    out.print(f"[b]round {found.number}[/]: {escape(path.name)}")
    for i, sentence in enumerate((*found.arrived.sentences(), *found.notes)):
        out.print(f"  {'' if i == 0 else '[yellow]·[/] '}{escape(sentence)}", soft_wrap=True)
    if found.values:
        names = ", ".join(found.hits) or "none"
        out.print(f"  hits: {escape(names)}", soft_wrap=True)
    if found.settled:
        fates = [s.verdict for s in found.settled]
        said = ", ".join(f"{fates.count(v)} {v}" for v in ("borne out", "refuted", "open"))
        out.print(f"  hypotheses: {said}")
    if found.surprises:
        _print_surprises(found)


def _print_surprises(found: Ingested) -> None:
    from rich import box
    from rich.table import Table

    table = Table("surprises", box=box.SIMPLE_HEAD)
    for name in ("seen", "expected", "sd apart", "r of effects"):
        table.add_column(name, justify="right")
    for one in found.surprises[:SHOWN]:
        r = f"{one.r:.2f}" if one.r == one.r else "–"
        table.add_row(one.name, f"{one.seen:+.2f}", f"{one.expected:+.2f}", f"{one.z:+.1f}", r)
    console().print(table)


def _print_overview(found: Overview) -> None:
    from rich import box
    from rich.table import Table

    out = console()
    out.print(
        f"[b]{found.root}[/]: {found.measured} of {counted(found.candidates, 'candidate')} measured, "
        f"{counted(len(found.hits), 'hit')}, {found.open} can be proposed"
    )
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("round", min_width=5)
    table.add_column("chosen by", min_width=9, max_width=24)
    for name in OVERVIEW:
        table.add_column(name, justify="right")
    for line in found.rounds:
        before = line.number == 0
        table.add_row(
            str(line.number), line.strategy, "" if before else str(line.ordered), str(line.measured),
            str(line.failed or ""), str(line.missing or ""), str(len(line.hits)),
            "" if before else f"{line.expected_hits:.1f}", "" if before else str(line.verdicts["borne out"]),
            _share(line.chance), "" if before else str(line.verdicts["refuted"]), _number(line.r),
        )  # fmt: skip
    out.print(table)
    if found.waiting is not None:
        out.print(f"round {found.waiting} waits for its results (lab ingest)")
    if found.given_up:
        out.print(f"failed twice, not proposed again: {', '.join(found.given_up)}", soft_wrap=True)
    if found.hits:
        best = ", ".join(f"{name} {found.values[name]:+.2f}" for name in found.hits[:8])
        out.print(f"best: {best}", soft_wrap=True)


def _number(value: float) -> str:
    return f"{value:.2f}" if value == value else ""


def _share(value: float) -> str:
    return f"{value:.0%}" if value == value else ""
