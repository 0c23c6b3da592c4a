"""``perturbarena data``: which data sets there are, what is known of each, and fetching them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console

if TYPE_CHECKING:
    from perturbarena.challenge.data import DataSet, Fetched

app = typer.Typer(
    no_args_is_help=True, help="Data sets: list them, read licence and citation, fetch and verify them."
)

Name = Annotated[str, typer.Argument(help="A data set's name, as `data list` prints it.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def attach(parent: typer.Typer) -> None:
    """Add ``data …``."""
    parent.add_typer(app, name="data")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The data sets that can be fetched.

    Example: perturbarena data list
    """
    from rich.table import Table

    from perturbarena.challenge.data import data_sets

    known = data_sets().values()
    if as_json:
        print_json([{"name": entry.name, "title": entry.title, "licence": entry.licence} for entry in known])
        return
    table = Table("name", "title", "files", "licence")
    for entry in known:
        table.add_row(entry.name, entry.title, str(len(entry.files)), entry.licence)
    console().print(table)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """A data set's files, hashes, licence and citation.

    Example: perturbarena data show bioreasoning-2026
    """
    from rich.table import Table

    from perturbarena.challenge.data import find_data_set

    entry = find_data_set(name)
    if as_json:
        print_json(entry.model_dump(mode="json"))
        return
    screen = console()
    screen.print(f"[bold]{entry.name}[/]: {entry.title}")
    table = Table("file", "bytes", "sha256")
    table.columns[2].overflow = "fold"
    for file in entry.files:
        table.add_row(file.path, "unknown" if file.bytes is None else f"{file.bytes:,}", file.sha256)
    screen.print(table)
    for file in entry.files:
        screen.print(file.url, soft_wrap=True)
    _terms(entry)


@app.command()
def get(
    name: Name,
    source: Annotated[
        Path | None, typer.Option("--from", help="Take the files from this folder instead of downloading them.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the files; default: the cache.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch a data set, verify every file, and say where it lies, under which licence, and whom to cite.

    The cache is the user's cache folder, or the folder that the environment variable PERTURBARENA_CACHE names.

    Example: perturbarena data get bioreasoning-2026 -o data
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from perturbarena.challenge.data import fetch, find_data_set

    entry = find_data_set(name)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=progress_console(), disable=not sys.stderr.isatty(), transient=True) as bars:
        tasks = {file.path: bars.add_task(file.path, total=file.bytes, visible=False) for file in entry.files}

        def tell(path: str, done: int, total: int) -> None:
            bars.update(tasks[path], completed=done, total=total or None, visible=True)

        fetched = fetch(entry, source=source, output=output, progress=tell)
    if as_json:
        print_json(_record(entry, fetched))
        return
    for file in fetched:
        console().print(f"{file.how}: {file.path} (sha256 {file.sha256[:12]}…)", soft_wrap=True)
    _terms(entry)


def _record(entry: DataSet, fetched: list[Fetched]) -> dict[str, object]:
    files = [{"path": str(file.path), "sha256": file.sha256, "how": file.how} for file in fetched]
    return {"name": entry.name, "licence": entry.licence, "citation": entry.citation, "files": files}


def _terms(entry: DataSet) -> None:
    screen = console()
    for label, text in (("licence", entry.licence), ("cite", entry.citation), ("notes", entry.notes)):
        if text:
            screen.print(f"[bold]{label}:[/] {' '.join(text.split())}", soft_wrap=True)
