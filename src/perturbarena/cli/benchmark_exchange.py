"""``perturbarena benchmark import`` and ``export``: question sets from elsewhere, and to elsewhere."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console

if TYPE_CHECKING:
    from perturbarena.benchmark.importers import Imported

DEFAULT_CHALLENGE = "bioreasoning-2026"

app = typer.Typer(no_args_is_help=True, help="Make a question set's folder from other people's files.")

Output = Annotated[
    Path, typer.Option("-o", "--output", metavar="BENCH", help="The question set's folder, new or empty.")
]
Truth = Annotated[
    Path | None,
    typer.Option(metavar="TRUTH", help="Folder for the hidden rows' labels, apart from BENCH."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


class Target(StrEnum):
    """Where a question set goes."""

    kaggle = "kaggle"
    huggingface = "huggingface"


def attach(parent: typer.Typer) -> None:
    """Add ``import …`` and ``export``."""
    parent.add_typer(app, name="import")
    parent.command()(export)


@app.command()
def challenge(
    folder: Annotated[Path, typer.Argument(help="Folder with the published train.csv and test.csv.")],
    output: Output,
    solution: Annotated[Path | None, typer.Option(help="CSV with id, label, Usage (organisers).")] = None,
    truth: Truth = None,
    as_json: Json = False,
) -> None:
    """A challenge's published files, rows and order unchanged.

    Example: perturbarena benchmark import challenge data/ -o bench
    """
    from perturbarena.benchmark.importers import import_published

    _finish(import_published(folder, solution=solution), output, truth, as_json)


@app.command()
def perturbqa(
    folder: Annotated[Path, typer.Argument(help="Folder with CELL-de.csv and CELL-dir.csv (.gz too).")],
    cell_line: Annotated[str, typer.Option(help="k562, rpe1, hepg2 or jurkat.")],
    output: Output,
    truth: Truth = None,
    as_json: Json = False,
) -> None:
    """One cell line of PerturbQA: -de and -dir merged into up, down, none; its own split kept.

    Example: perturbarena benchmark import perturbqa perturbqa/ --cell-line k562 -o bench --truth truth
    """
    from perturbarena.benchmark.importers import import_perturbqa

    _finish(import_perturbqa(folder, cell_line), output, truth, as_json)


@app.command()
def csv(
    file: Annotated[Path, typer.Argument(help="A labelled CSV, one pair a row (.gz too).")],
    output: Output,
    columns: Annotated[
        list[str] | None, typer.Option("--map", help="Which column is which: pert=KO,gene=target,label=change.")
    ] = None,
    labels: Annotated[
        list[str] | None, typer.Option(help="What its labels mean: up=1,down=-1,none=0; a name may repeat.")
    ] = None,
    splits: Annotated[
        list[str] | None, typer.Option(help="What its split column means: train=fit,validation=dev,test=eval.")
    ] = None,
    truth: Truth = None,
    title: Annotated[str, typer.Option(help="Title of the set.")] = "",
    licence: Annotated[str, typer.Option(help="Its licence, such as CC-BY-4.0.")] = "",
    citation: Annotated[str, typer.Option(help="Whom to cite.")] = "",
    as_json: Json = False,
) -> None:
    """Any labelled CSV, by a column map and a value map.

    Columns named pert, gene, label, id and split need no map. Without a split column every row is a training row.

    Example: perturbarena benchmark import csv my.csv --map pert=KO --labels up=1,down=-1,none=0 -o bench
    """
    from perturbarena.benchmark.importers import import_csv, read_map

    how = read_map(columns=columns or [], labels=labels or [], splits=splits or [])
    imported = import_csv(file, how=how, title=title, licence=licence, citation=citation)
    _finish(imported, output, truth, as_json)


def export(
    bench: Annotated[Path, typer.Argument(metavar="BENCH", help="The question set's folder.")],
    to: Annotated[Target, typer.Option(help="Whose layout.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The folder, new or empty.")],
    truth: Annotated[
        Path | None,
        typer.Option(metavar="TRUTH", help="solution.csv or its folder; kaggle needs it, huggingface takes none."),
    ] = None,
    rules: Annotated[
        str, typer.Option("--challenge", help="Rules for tracks and metric: a challenge's name or a rules file.")
    ] = DEFAULT_CHALLENGE,
    as_json: Json = False,
) -> None:
    """Write a question set as a Kaggle competition's files or as a Hugging Face data set.

    Kaggle: DIR/data is for entrants, DIR/organiser holds the solution and must stay private.

    Example: perturbarena benchmark export bench --truth truth --to kaggle -o kaggle
    """
    from rich.markup import escape

    from perturbarena.challenge.rules import load_challenge
    from perturbarena.errors import InputError
    from perturbarena.workflows.export import export_huggingface, export_kaggle

    if to is Target.kaggle:
        if truth is None:
            raise InputError("a Kaggle export needs the hidden rows' labels for its solution file (--truth)")
        exported = export_kaggle(bench, truth, output, challenge=load_challenge(rules))
    else:
        if truth is not None:
            raise InputError("a Hugging Face export takes no labels of hidden rows; leave --truth out")
        exported = export_huggingface(bench, output)
    if as_json:
        print_json(
            {
                "folder": str(output),
                "to": to,
                "public": exported.public,
                "organiser": exported.organiser,
                "warnings": exported.warnings,
            }
        )
        return
    out = console()
    out.print(str(output), markup=False, soft_wrap=True)
    out.print("public: " + ", ".join(exported.public), soft_wrap=True)
    if exported.organiser:
        out.print("[red]organisers only[/]: " + ", ".join(exported.organiser), soft_wrap=True)
    for warning in exported.warnings:
        progress_console().print(f"[yellow]note[/] {escape(warning)}", soft_wrap=True)


def _finish(imported: Imported, output: Path, truth: Path | None, as_json: bool) -> None:
    from perturbarena.benchmark.importers import write_imported

    write_imported(imported, output, truth=truth)
    if not as_json:
        _print(imported, written=f"{output}" + (f", labels of hidden rows: {truth}" if truth else ""))
        return
    print_json(
        {
            "folder": str(output),
            "truth": None if truth is None else str(truth),
            "train": len(imported.train),
            "hidden": len(imported.hidden),
            "labels": imported.label_counts(),
            "left_out": imported.left_out,
            "notes": imported.notes,
            "licence": imported.source.licence,
        }
    )


def _print(imported: Imported, *, written: str) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title, counts = f"[b]{escape(imported.source.title)}[/]", imported.label_counts()
    table = Table("rows of", box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for name in ("rows", "perturbations", "genes", "up", "down", "none"):
        table.add_column(name, justify="right")
    for name, rows in (("train", imported.train.questions), ("hidden", imported.hidden)):
        shape = (len(rows), len(set(rows.pert)), len(set(rows.gene)))
        labels = [f"{n:,}" for n in counts[name].values()] if name in counts else ["–"] * 3
        table.add_row(name, *(f"{n:,}" for n in shape), *labels)
    out = console()
    out.print(table)
    for reason, count in imported.left_out.items():
        out.print(f"left out, {reason}: {count:,}", style="yellow" if count else "dim")
    out.print(f"licence: {escape(imported.source.licence)}", style="dim", soft_wrap=True)
    out.print(f"written: {escape(written)}", soft_wrap=True)
