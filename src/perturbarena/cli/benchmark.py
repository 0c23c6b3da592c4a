"""``perturbarena benchmark``: question sets, and whether they give their answers away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.challenge.words import counted
from perturbarena.cli import benchmark_build, benchmark_exchange, benchmark_power
from perturbarena.cli.output import console, print_json, progress_console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from perturbarena.benchmark import Audit, Check

app = typer.Typer(no_args_is_help=True, help="Question sets: build, audit, import, export; what can they show?")
benchmark_exchange.attach(app)
COLOURS = {"leak": "red", "clean": "green", "cannot tell": "yellow"}


def attach(parent: typer.Typer) -> None:
    """Add ``benchmark …``."""
    benchmark_build.attach(app)
    benchmark_power.attach(app)
    parent.add_typer(app, name="benchmark")


@app.command()
def audit(
    questions: Annotated[
        Path, typer.Argument(metavar="FILE.csv|BENCH", help="CSV with pert, gene, label; or train.csv's folder.")
    ],
    truth: Annotated[
        Path | None, typer.Option(help="The hidden rows' labels: solution.csv or its folder (organisers).")
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Write a forest plot (.png, .svg or .pdf).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 when a verdict is `leak`.")] = False,
    resamples: Annotated[int, typer.Option(min=2, help="Resamples each way for the intervals.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Attack a question set with its own shape: row counts, order, ids, other rows' labels, overlaps of splits.

    Example: perturbarena benchmark audit bench/ --truth truth/ --strict --figure audit.svg
    """
    import numpy as np

    from perturbarena.benchmark import audit_questions, read_question_set

    question_set = read_question_set(questions, truth=truth)
    with progress_console().status("attacking"):
        found = audit_questions(question_set, rng=np.random.default_rng(seed), n_resamples=resamples)
    if figure is not None:
        from perturbarena.workflows.audit_figure import audit_figure

        audit_figure(figure, found, title=f"{questions.resolve().name}: what can be told without biology")
    if as_json:
        print_json(found.as_json() | {"questions": str(questions), "resamples": resamples, "seed": seed})
    else:
        _print(found, title=str(questions))
    if strict and found.leaks:
        raise typer.Exit(1)


def _print(found: Audit, *, title: str) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    out = console()
    table = Table("attack", "rows", "", box=box.SIMPLE_HEAD, title=f"[b]{escape(title)}[/]", pad_edge=False)
    table.add_column("AUROC", justify="right")
    table.add_column("95 % interval", justify="center")
    table.add_column("verdict")
    for f in found.findings:
        bounds = "–" if f.interval is None else f"{f.interval.low:.3f} … {f.interval.high:.3f}"
        table.add_row(f.attack, f.rows, f.target, _value(f.auroc), bounds, _coloured(f.verdict))
    out.print(table)
    ceilings = Table("oracle", "rows", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("AUROC at most", "labels dealt at random"):
        ceilings.add_column(heading, justify="right")
    for oracle in found.oracles:
        ceilings.add_row(
            f"{oracle.oracle} only", oracle.rows, oracle.target, _value(oracle.auroc), _value(oracle.dealt)
        )
    out.print(ceilings)
    _print_checks(found.checks, out)
    for sentence in dict.fromkeys(f"{f.rows}: {f.sentence}" for f in found.findings if f.verdict == "leak"):
        out.print(f"[red]leak[/] {sentence}", soft_wrap=True)
    out.print(
        f"{counted(found.leaks, 'leak')}. Verdicts rest on intervals widened for the number of attacks.",
        style="dim",
    )


def _print_checks(checks: Sequence[Check], out: Console) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    counts = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    counts.add_column("check", no_wrap=True)
    counts.add_column("count", justify="right", min_width=5)
    counts.add_column("verdict", min_width=7)
    counts.add_column("for example", style="dim")
    for check in checks:
        examples = escape(", ".join(check.examples[:2]))
        count = "–" if check.count is None else f"{check.count:,}"
        counts.add_row(check.check, count, _coloured(check.verdict), examples)
    out.print(counts)
    for statement in (check for check in checks if check.count is None):
        out.print(f"[yellow]{escape(statement.check)}[/] {escape(statement.sentence)}", soft_wrap=True)


def _value(auroc: float) -> str:
    return "–" if auroc != auroc else f"{auroc:.3f}"


def _coloured(verdict: str) -> str:
    return f"[{COLOURS[verdict]}]{verdict}[/]"
