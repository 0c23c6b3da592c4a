"""``perturbarena screen check``: what is in a screen, and in words what is wrong with it."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from perturbarena.cli.output import console, print_json
from perturbarena.cli.screen_options import BatchColumn, GuideColumn, GuideCountsKey, LayerName, SizeFactorColumn

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from perturbarena.screen import ScreenCheck
    from perturbarena.screen.pseudobulk import Knockdown

SHOWN: Final = 40
"""Rows of a table shown to people; --json has them all."""


def attach(group: typer.Typer) -> None:
    """Add ``check`` to the group ``screen``."""
    group.command()(check)


def check(
    screen: Annotated[Path, typer.Argument(help="AnnData with raw counts (.h5ad or .zarr).")],
    perturbation: Annotated[
        str | None, typer.Option(help="Column of obs: what was knocked out. Looked for where not given.")
    ] = None,
    control: Annotated[
        str | None, typer.Option(help="What that column says of control cells. Looked for where not given.")
    ] = None,
    guide: GuideColumn = None,
    batch: BatchColumn = None,
    guide_counts: GuideCountsKey = None,
    size_factors: SizeFactorColumn = None,
    layer: LayerName = None,
    min_cells: Annotated[int, typer.Option(min=1, help="Point at perturbations with fewer cells.")] = 25,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 when something is wrong.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Look at a screen before hours of compute: guides, knockdown, batches, depth, and what is wrong.

    Columns that are not named are looked for under usual names; the report says which were taken.

    Example: perturbarena screen check screen.h5ad --perturbation gene --control NT --guide sgrna --batch lane
    """
    from perturbarena.screen import check_screen

    report = check_screen(
        screen,
        perturbation=perturbation,
        control=control,
        batch=batch,
        guide=guide,
        size_factors=size_factors,
        layer=layer,
        guide_counts=guide_counts,
        min_cells=min_cells,
    )
    if as_json:
        print_json(_plain({**asdict(report), "columns": report.columns._asdict(), "ok": report.ok}))
    else:
        _show(report)
    if strict and not report.ok:
        raise typer.Exit(1)


def _plain(value: Any) -> Any:
    """JSON knows neither NaN nor infinity."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _show(report: ScreenCheck) -> None:
    screen = console()
    _show_head(screen, report)
    _show_batches(screen, report)
    _show_perturbations(screen, report)
    _show_odd_guides(screen, report)
    _show_findings(screen, report)


def _show_head(screen: Console, report: ScreenCheck) -> None:
    table = _plain_table()
    columns = report.columns._asdict()
    used = []
    for option, name in columns.items():
        if name:
            found = "\u00a0[dim](found)[/]" if option in report.guessed else ""
            used.append(f"--{option.replace('_', '-')}\u00a0{_safe(name)}{found}")
    table.add_row("taken", "  ".join(used))
    left_out = "; ".join(f"{_safe(label)} {n:,}" for label, n in report.dropped.items())
    table.add_row(
        "cells", f"{report.n_cells:,} × {report.n_genes:,} genes" + (f"; left out: {left_out}" if left_out else "")
    )
    table.add_row("counts", f"raw: integers from 0 to {report.largest_count:,}")
    guides = "" if report.n_control_guides is None else f", {report.n_control_guides} guides"
    table.add_row("controls", f"{report.n_controls:,} cells {_safe(report.columns.control)}{guides}")
    table.add_row("perturbations", _perturbation_words(report))
    if (counts := report.guide_counts) is not None:
        total = max(1, sum(counts.per_cell))
        usual = ("0", "1", "2", "3", "4", "5+")
        per_cell = "  ".join(f"{n}: {k / total:.1%}" for n, k in zip(usual, counts.per_cell, strict=True) if k)
        table.add_row("guides per cell", f"{per_cell} [dim](guides with ≥ 5 UMIs in {_safe(counts.key)})[/]")
        table.add_row(
            "assignment",
            f"one guide {counts.n_single:,}, several {counts.n_several:,}, none {counts.n_none:,} cells"
            + (f"; {counts.n_relabelled:,} labelled otherwise" if counts.n_compared else ""),
        )
    screen.print(table)


def _perturbation_words(report: ScreenCheck) -> str:
    cells = sorted(p.n_cells for p in report.perturbations)
    words = (
        f"{len(cells):,}; cells each: least {cells[0]:,}, median {cells[len(cells) // 2]:,}, most {cells[-1]:,}"
    )
    guides = [p.n_guides for p in report.perturbations if p.n_guides is not None]
    return words + (f"; guides each: {min(guides)} to {max(guides)}" if guides else "")


def _show_batches(screen: Console, report: ScreenCheck) -> None:
    table = _titled("Batches: depth is the median with quartiles", "batch", "cells", "controls", "perturbations")
    table.add_column("UMIs a cell", justify="right")
    table.add_column("genes a cell", justify="right")
    for batch in report.batches[:SHOWN]:
        bare = "[red]0[/]" if not batch.n_controls else f"{batch.n_controls:,}"
        table.add_row(
            _safe(batch.batch),
            f"{batch.n_cells:,}",
            bare,
            f"{batch.n_perturbations:,}",
            _spread(batch.umis),
            _spread(batch.genes),
        )
    screen.print(table)
    _more(screen, len(report.batches))


def _show_perturbations(screen: Console, report: ScreenCheck) -> None:
    """The smallest first: they are the ones to worry about."""
    title = "Perturbations, fewest cells first"
    table = _titled(title, "perturbation", "cells", "guides", "batches", "off balance", "depth")
    table.add_column("own transcript, log2 (95 %)", no_wrap=True)
    knockdown = {k.perturbation: k for k in report.knockdowns}
    for p in sorted(report.perturbations, key=lambda p: p.n_cells)[:SHOWN]:
        table.add_row(
            _safe(p.perturbation),
            f"{p.n_cells:,}",
            "" if p.n_guides is None else str(p.n_guides),
            str(p.n_batches),
            f"{p.batch_distance:.0%}",
            f"{p.depth_ratio:.2f}×" if math.isfinite(p.depth_ratio) else "–",
            _knockdown_words(knockdown.get(p.perturbation)),
        )
    screen.print(table)
    _more(screen, len(report.perturbations))
    screen.print(
        "[dim]off balance: share of cells that would have to change batch to lie as the controls do; "
        "depth: median UMIs over the controls'[/]",
        soft_wrap=True,
    )


def _knockdown_words(found: Knockdown | None) -> str:
    if found is None:
        return "[dim]not measured[/]"
    if found.verdict == "too few counts":
        return "[dim]too few counts[/]"
    colour = {"down": "green", "up": "yellow", "unclear": "yellow"}[found.verdict]
    low = "−∞" if math.isinf(found.low) else _signed(found.low)
    ratio = "−∞" if math.isinf(found.log2_ratio) else _signed(found.log2_ratio)
    return f"[{colour}]{found.verdict}[/] {ratio} ({low} … {_signed(found.high)})"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _show_odd_guides(screen: Console, report: ScreenCheck) -> None:
    odd = [guide for guide in report.guides if guide.verdict != "agrees"]
    if not report.guides:
        return
    if not odd:
        screen.print(f"\n{len(report.guides):,} guides compared with their gene's others: all agree")
        return
    title = f"Guides that disagree with their gene's others ({len(odd)} of {len(report.guides):,} compared)"
    table = _titled(title, "perturbation", "cells", "differing genes", "FDR", "strength")
    table.columns[0].header = "guide"
    table.add_column("verdict")
    for guide in odd[:SHOWN]:
        table.add_row(
            _safe(guide.guide),
            f"{guide.n_cells:,}",
            f"{guide.n_differ} of {guide.n_tested}",
            f"{guide.fdr:.1g}",
            "–" if math.isnan(guide.strength) else f"{guide.strength:.2f}",
            guide.verdict,
        )
    screen.print(table)
    _more(screen, len(odd))
    screen.print(
        "[dim]strength: 1 acts as its gene's other guides do, 0 does nothing, – the others move too little to "
        "tell; weaker, stronger: below ½, above 2; alone: moves what the others leave alone[/]",
        soft_wrap=True,
    )


def _show_findings(screen: Console, report: ScreenCheck) -> None:
    screen.print()
    for finding in report.findings:
        mark = "[bold red]wrong[/]" if finding.level == "wrong" else "[yellow]note[/] "
        screen.print(f"{mark} [bold]{finding.about}[/]: {_safe(finding.text)}", soft_wrap=True)
    wrong = sum(finding.level == "wrong" for finding in report.findings)
    notes = len(report.findings) - wrong
    if wrong:
        screen.print(f"[bold red]{wrong} to put right[/] before estimating effects, {notes} to know")
    else:
        screen.print(
            f"[bold green]ready[/] for screen effects; {notes} to know" if notes else "[bold green]ready[/]"
        )


def _titled(title: str, first: str, *numbers: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _plain_table() -> Table:
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    return table


def _more(screen: Console, n: int) -> None:
    if n > SHOWN:
        screen.print(f"[dim]… and {n - SHOWN:,} more (--json has all)[/]")


def _spread(quartiles: tuple[float, float, float]) -> str:
    low, middle, high = quartiles
    return f"{middle:,.0f} [dim]({low:,.0f}–{high:,.0f})[/]"


def _safe(text: str) -> str:
    from rich.markup import escape

    return escape(text)
