"""``perturbarena challenge``: which challenges there are, their rules, sample submissions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli.output import console, print_json

DEFAULT = "bioreasoning-2026"

app = typer.Typer(no_args_is_help=True, help="Challenges as data: list them, read their rules, make samples.")

Name = Annotated[str, typer.Argument(help="A bundled challenge's name, or the path of a rules file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def attach(parent: typer.Typer) -> None:
    """Add ``challenge …``."""
    parent.add_typer(app, name="challenge")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The challenges that ship with the package.

    Example: perturbarena challenge list
    """
    from rich.table import Table

    from perturbarena.challenge.rules import bundled_challenges, load_challenge

    challenges = [load_challenge(name) for name in bundled_challenges()]
    if as_json:
        print_json([{"name": c.name, "title": c.title, "tracks": list(c.tracks)} for c in challenges])
        return
    table = Table("name", "title", "tracks")
    for challenge in challenges:
        table.add_row(challenge.name, challenge.title, ", ".join(challenge.tracks))
    console().print(table)


@app.command()
def show(
    name: Name = DEFAULT,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The tables as Markdown text.")] = False,
) -> None:
    """A challenge's rules: data, tracks, columns, limits, files of the zip, and how contradictions were resolved.

    Example: perturbarena challenge show bioreasoning-2026
    """
    from rich.markdown import Markdown

    from perturbarena.challenge.describe import markdown
    from perturbarena.challenge.rules import load_challenge

    challenge = load_challenge(name)
    if as_json:
        print_json(challenge.model_dump(mode="json"))
    elif as_markdown:
        typer.echo(markdown(challenge), nl=False)
    else:
        console().print(Markdown(markdown(challenge)))


@app.command()
def sample(
    output: Annotated[Path, typer.Option("-o", "--output", help="The CSV to write.")],
    track: Annotated[str, typer.Option(help="The track, such as A.")],
    questions: Annotated[Path, typer.Option(help="CSV with id, pert, gene.")],
    name: Name = DEFAULT,
    as_json: Json = False,
) -> None:
    """Write a valid table in which nothing is answered yet: a start for your own.

    Example: perturbarena challenge sample bioreasoning-2026 --track A --questions test.csv -o sample.csv
    """
    from perturbarena.challenge.describe import sample_table
    from perturbarena.challenge.formats import read_questions, write_table
    from perturbarena.challenge.rules import load_challenge

    challenge = load_challenge(name)
    table = sample_table(challenge, challenge.track(track), read_questions(questions))
    write_table(output, table)
    if as_json:
        print_json({"file": str(output), "rows": len(table), "columns": list(table.columns)})
    else:
        console().print(f"{output}: {len(table)} rows, {table.shape[1]} columns, none answered")


@app.command("kaggle-metric")
def kaggle_metric(
    track: Annotated[str, typer.Option(help="The track, such as A; base reads the two predictions alone.")],
    challenge: Annotated[str, typer.Option(help="The challenge's name, or the path of its rules file.")] = DEFAULT,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The Python file to write; default: stdout.")
    ] = None,
) -> None:
    """Write the one-file metric that Kaggle runs: the same code as `score`, with the rules in it.

    Example: perturbarena challenge kaggle-metric --track B -o metric_track_b.py
    """
    from perturbarena.challenge.formats import atomic
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.evaluation import render

    source = render(load_challenge(challenge), track)
    if output is None:
        typer.echo(source, nl=False)
        return
    with atomic(output) as file:
        file.write(source)
    console().print(f"{output}: metric of {challenge}, track {track}")


@app.command()
def keys() -> None:
    """List every key of a rules file with its meaning, as Markdown: for writing your own challenge.

    Example: perturbarena challenge keys
    """
    from perturbarena.challenge.describe import schema_markdown

    typer.echo(schema_markdown(), nl=False)
