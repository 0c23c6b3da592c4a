"""``perturbarena benchmark build`` and ``benchmark settings``: a screen → a question set with its card."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.challenge.words import counted
from perturbarena.cli.output import console, print_json, progress_console
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
    from types import TracebackType

    from rich.status import Status

Design = Annotated[
    str | None, typer.Option(help="fair, or bioreasoning-2026 (the published one, which leaks). Default: fair.")
]
Settings = Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Keys that replace the design's preset.")]


def attach(group: typer.Typer) -> None:
    """Add ``build`` and ``settings`` to the group ``benchmark``."""
    group.command()(build)
    group.command("settings")(show_settings)


def build(
    screen: Annotated[Path, typer.Argument(help="AnnData with raw counts, or an effect table (.h5ad or .zarr).")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="BENCH", help="Folder for entrants.")],
    truth: Annotated[Path, typer.Option(metavar="TRUTH", help="Folder for the hidden labels, outside BENCH.")],
    design: Design = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn.")] = 0,
    nulls: Annotated[
        int | None, typer.Option(min=0, help="Artificial perturbations; 0: none. Default: the settings' (500).")
    ] = None,
    settings: Settings = None,
    groups: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="gene,group: names of one group stay in one split."),
    ] = None,
    perturbation: PerturbationColumn = "perturbation",
    control: ControlValue = "control",
    batch: BatchColumn = None,
    guide: GuideColumn = None,
    guide_counts: GuideCountsKey = None,
    size_factors: SizeFactorColumn = None,
    layer: LayerName = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; default: one a processor.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Build a question set: effects, null calibration, labels, splits, questions, audit, ceilings, power, card.

    BENCH gets train.csv, test.csv, benchmark.json, README.md and figures/; TRUTH gets solution.csv. A build that
    was stopped goes on when the same command is given again. A column `guide` in obs is used for the nulls.

    Example: perturbarena benchmark build screen.h5ad -o bench --truth truth --design fair --seed 1
    """
    from perturbarena.workflows.build import BuildPlan, ScreenColumns, build_benchmark, load_settings

    columns = ScreenColumns(
        perturbation=perturbation, control=control, batch=batch, guide=guide, size_factors=size_factors,
        layer=layer, guide_counts=guide_counts,
    )  # fmt: skip
    plan = BuildPlan(
        source=screen, bench=output, truth=truth, settings=load_settings(design, settings, nulls=nulls),
        seed=seed, columns=columns, groups=groups,
    )  # fmt: skip
    with BuildProgress() as watch:
        built = build_benchmark(plan, workers=workers, watch=watch)
    if as_json:
        print_json({"output": str(output), "truth": str(truth), "already": built.already} | _summary(built.record))
    else:
        _print(built.record, output, truth, already=built.already)


def show_settings(
    design: Design = None,
    settings: Settings = None,
) -> None:
    """Print what decides a question set, every key with its meaning: a file to edit for `build --settings`.

    Example: perturbarena benchmark settings --design fair > mine.toml
    """
    from perturbarena.workflows.build import load_settings, settings_toml

    sys.stdout.write(settings_toml(load_settings(design, settings)))


class BuildProgress:
    """One line on stderr for each stage: running with its count, then done with its time."""

    def __init__(self) -> None:
        self._out = progress_console()
        self._status: Status | None = None
        self._name, self._began = "", 0.0

    def __enter__(self) -> BuildProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.end(failed=kind is not None)

    def stage(self, name: str, *, kept: bool) -> None:
        """Close the last line and begin another."""
        self.end()
        if kept:
            self._out.print(f"[green]✓[/] {name} [dim](there already)[/]")
            return
        self._name, self._began = name, time.monotonic()
        self._status = self._out.status(name)
        self._status.start()

    def step(self, done: int, total: int) -> None:
        """Show the count."""
        if self._status is not None:
            self._status.update(f"{self._name} {done:,}/{total:,}")

    def end(self, *, failed: bool = False) -> None:
        """Close the line of the stage that runs, if one does."""
        if self._status is None:
            return
        self._status.stop()
        self._status = None
        mark = "[red]✗[/]" if failed else "[green]✓[/]"
        self._out.print(f"{mark} {self._name} [dim]{time.monotonic() - self._began:.1f} s[/]")


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": record["name"],
        "design": record["design"],
        "seed": record["seed"],
        "counts": record["counts"],
        "left_out_perturbations": len(record["left_out_perturbations"]),
        "null_calibration": record["null_calibration"],
        "leaks": record["audit"]["leaks"],
        "notes": record["notes"],
        "files": record["files"],
    }


def _print(record: dict[str, Any], output: Path, truth: Path, *, already: bool) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from perturbarena.challenge.records import LABELS

    out = console()
    title = f"[b]{escape(record['name'])}[/], design {record['design']}, seed {record['seed']}"
    table = Table("split", box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for name in ("rows", "perturbations", "genes", *LABELS):
        table.add_column(name, justify="right")
    for split, c in record["counts"].items():
        mix = (f"{c[label]:,} ({c[label] / c['rows']:.0%})" for label in LABELS)
        table.add_row(split, f"{c['rows']:,}", f"{c['perturbations']:,}", f"{c['genes']:,}", *mix)
    out.print(table)
    for line in _sentences(record):
        out.print(line, soft_wrap=True)
    what = "was built before, nothing to do:" if already else "written:"
    out.print(f"{what} [b]{escape(str(output))}[/] for entrants, [b]{escape(str(truth))}[/] stays with you")


def _sentences(record: dict[str, Any]) -> list[str]:
    from rich.markup import escape

    nulls, leaks, power = record["null_calibration"], record["audit"]["leaks"], record["power"]["test"]
    lines = [f"[yellow]note[/] {split}: {escape(n)}" for split, notes in record["notes"].items() for n in notes]
    lines.append(
        f"{counted(len(record['left_out_perturbations']), 'perturbation')} left out (reasons in benchmark.json)"
    )
    if "not_measured" in nulls:
        lines.append(f"[yellow]nulls not measured:[/] {escape(nulls['not_measured'])}")
    else:
        fdr = nulls["empirical_fdr"]
        told = "undefined" if fdr is None else f"{fdr:.2%}"
        state = "clean" if nulls["clean"] else "[yellow]not clean: p-values are too small[/]"
        lines.append(f"{nulls['nulls']:,} nulls: empirical FDR {told}, {state}")
    lines.append(f"audit: [{'red' if leaks else 'green'}]{counted(leaks, 'leak')}[/]")
    if "not_measured" in record["ceilings"]:
        lines.append(f"[yellow]ceilings not measured:[/] {escape(record['ceilings']['not_measured'])}")
    if "not_measured" in power:
        lines.append(f"[yellow]power not measured:[/] {escape(power['not_measured'])}")
    elif (smallest := power["whole"]["smallest"]["score"]) is not None:
        lines.append(f"smallest score difference that the test block shows: {smallest:.3f}")
    return lines
