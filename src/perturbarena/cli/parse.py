"""``perturbarena parse``: what models' texts say, row by row, and what could not be read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, spare_inputs

if TYPE_CHECKING:
    from perturbarena.tracks import ParseReport


def attach(app: typer.Typer) -> None:
    """Add ``parse``."""
    app.command()(parse)


def parse(
    file: Annotated[Path, typer.Argument(help="CSV (.gz too) with the models' texts.", metavar="FILE.csv")],
    column: Annotated[str, typer.Option(help="The column that holds the texts.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="CSV to write: id,label,p_up,p_down,how.")],
    letters: Annotated[str, typer.Option(help="The options' letters for up, down, none.")] = "ABC",
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Read labels and probabilities out of models' texts: one row out for each row in.

    A row that says nothing readable has an empty label, probabilities of 1/3, and its reason under `how`.
    Without a column id, rows are numbered from 1.

    Example: perturbarena parse outputs.csv.gz --column reasoning_trace_seed42 -o parsed.csv
    """
    import pandas as pd

    from perturbarena.challenge.formats import read_table, write_table
    from perturbarena.tracks import parse_answers, parse_report

    spare_inputs((output,), (file,))
    table = read_table(file, required=(column,))
    ids = table["id"] if "id" in table.columns else pd.Series(range(1, len(table) + 1)).astype(str)
    answers = parse_answers(table[column], letters=letters)
    rows = {name: [getattr(answer, name) for answer in answers] for name in ("label", "p_up", "p_down", "how")}
    write_table(output, pd.DataFrame({"id": ids, **rows}))
    report = parse_report(answers)
    if as_json:
        print_json(
            {
                "rows": report.n,
                "parsed": report.n_parsed,
                "parse_rate": report.parse_rate if report.n else None,
                "how": report.how,
                "label": report.label,
                "output": str(output),
            }
        )
    else:
        _show(report, output)


def _show(report: ParseReport, output: Path) -> None:
    from rich.table import Table

    table = Table("how", "rows", "share")
    for column in table.columns[1:]:
        column.justify = "right"
    for how, count in report.how.items():
        table.add_row(how, f"{count:,}", f"{count / report.n:.2%}")
    screen = console()
    screen.print(table)
    rate = f"{report.parse_rate:.2%}" if report.n else "no rows"
    labels = ", ".join(f"{count:,} {label}" for label, count in report.label.items())
    screen.print(f"{report.n_parsed:,} of {report.n:,} texts read ({rate}): {labels}")
    screen.print(f"written: {output}", soft_wrap=True)
