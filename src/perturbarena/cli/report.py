"""``perturbarena report``: runs as one page to read, send and print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console
from perturbarena.cli.score import Usage


def attach(app: typer.Typer) -> None:
    """Add ``report``."""
    app.command()(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or predictions CSV (.gz too).", metavar="RUN…")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")],
    truth: Annotated[
        Path | None, typer.Option(metavar="TRUTH.csv", help="CSV with id, label; pert and gene where there are.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(metavar="Q.csv", help="The whole question set (id, pert, gene): pairs and row counts."),
    ] = None,
    benchmark: Annotated[
        Path | None, typer.Option(metavar="BENCH", help="Folder with benchmark.json, for its ceilings.")
    ] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="AUDIT.json", help="What `benchmark audit --json` wrote.")
    ] = None,
    strata: Annotated[
        Path | None, typer.Option(metavar="S.csv", help="CSV with id and columns to divide the questions by.")
    ] = None,
    usage: Annotated[Usage | None, typer.Option(help="Only this split of the truth.")] = None,
    price_in: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens read.")] = None,
    price_out: Annotated[float | None, typer.Option(min=0, help="Price of a million tokens written.")] = None,
    title: Annotated[str | None, typer.Option(help="The page's title. Default: the runs' names.")] = None,
    resamples: Annotated[int, typer.Option(min=4, help="Resamples each way for the intervals.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Write one HTML page on runs: scores with intervals, curves, strata, seeds, tokens, hard and easy questions.

    The file needs no network and no scripts. Without --truth it shows answers, tokens and traces.

    Example: perturbarena report runs/first runs/second --truth solution.csv --questions test.csv -o report.html
    """
    from perturbarena.errors import InputError
    from perturbarena.workflows.report_parts import Price
    from perturbarena.workflows.report_run import ReportInputs, report_runs

    if (price_in is None) != (price_out is None):
        raise InputError("--price-in and --price-out go together")
    price = None if price_in is None or price_out is None else Price(price_in, price_out)
    inputs = ReportInputs(
        truth=truth, questions=questions, benchmark=benchmark, audit=audit, strata=strata,
        usage=None if usage is None else usage.value, price=price,
        title=title, resamples=resamples, seed=seed,
    )  # fmt: skip
    with progress_console().status("writing the page"):
        page = report_runs(runs, output, inputs)
    size = output.stat().st_size
    if as_json:
        scores = {run.name: _score(run.measure("score")) for run in page.runs}
        print_json({"file": str(output), "bytes": size, "scores": scores})
        return
    out = console()
    for run in page.runs:
        line = run.measure("score")
        shown = "no truth" if line is None else line.why if not line.value.defined else f"{line.value.value:.4f}"
        out.print(f"{run.name}: {shown}", markup=False, soft_wrap=True)
    out.print(f"{output}: {size / 1e6:.2f} MB", markup=False, soft_wrap=True)


def _score(line: object) -> float | None:
    value = getattr(getattr(line, "value", None), "value", float("nan"))
    return value if value == value else None
