"""``perturbarena tools``: which tools an agent has, and what they answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from perturbarena.cli.output import console, print_json
from perturbarena.cli.tool_options import Knowledge, Questions, Train, read_tools

app = typer.Typer(no_args_is_help=True, help="The tools of agents: list them, call one.")
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def attach(parent: typer.Typer) -> None:
    """Add ``tools …``."""
    parent.add_typer(app, name="tools")


@app.command("list")
def list_(
    knowledge: Knowledge = Path("kb.sqlite"),
    train: Train = None,
    questions: Questions = None,
    as_json: Json = False,
) -> None:
    """The tools, what they take, and whether their answers use labels of training rows.

    Example: perturbarena tools list --knowledge kb.sqlite --train train.csv --questions test.csv
    """
    from rich.table import Table

    rows = [
        {
            "name": name,
            "arguments": list(tool.schema.parameters["properties"]),
            "answers": tool.schema.description,
            "uses_training_labels": tool.uses_training_labels,
        }
        for name, tool in read_tools(knowledge, train, questions).items()
    ]
    if as_json:
        print_json(rows)
        return
    table = Table("tool", "arguments", "answers", "training labels")
    for row in rows:
        labels = "uses them" if row["uses_training_labels"] else "–"
        table.add_row(row["name"], ", ".join(row["arguments"]), row["answers"], labels)
    console().print(table)


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="The tool; see `tools list`.")],
    arguments: Annotated[list[str], typer.Argument(metavar="GENE…", help="Its arguments, in order.")],
    knowledge: Knowledge = Path("kb.sqlite"),
    train: Train = None,
    questions: Questions = None,
    as_json: Json = False,
) -> None:
    """What a tool answers.

    Example: perturbarena tools call shared_pathways Irf9 Ifit2 --knowledge kb.sqlite
    """
    from perturbarena.errors import InputError

    tools = read_tools(knowledge, train, questions)
    if name not in tools:
        raise InputError(f"no tool is called {name!r}; there are {', '.join(tools)}")
    wanted = list(tools[name].schema.parameters["properties"])
    if len(arguments) != len(wanted):
        raise InputError(f"{name} needs {len(wanted)} arguments ({', '.join(wanted)}); got {len(arguments)}")
    answer = str(tools[name].function(*arguments))
    if as_json:
        print_json({"tool": name, "arguments": dict(zip(wanted, arguments, strict=True)), "answer": answer})
        return
    console().print(answer, soft_wrap=True, markup=False)
