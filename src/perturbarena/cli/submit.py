"""``perturbarena submit``: pack a submission, check one, hand it in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console, spare_inputs
from perturbarena.cli.submit_push import push

if TYPE_CHECKING:
    from perturbarena.submission import Report

app = typer.Typer(no_args_is_help=True, help="Pack a submission; check that one is well-formed; hand it in.")

Track = Annotated[str, typer.Option(help="The track, such as A.")]
ChallengeName = Annotated[str, typer.Option(help="A bundled challenge's name, or the path of a rules file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def attach(parent: typer.Typer) -> None:
    """Add ``submit …``."""
    app.command()(push)
    parent.add_typer(app, name="submit")


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The submission's zip.")],
    track: Track,
    questions: Annotated[Path, typer.Option(help="CSV with id, pert, gene.")],
    challenge: ChallengeName = "bioreasoning-2026",
    as_json: Json = False,
) -> None:
    """Say everything that is wrong with a submission, with row, column, rule and what to do.

    Exit code 0: well-formed (there may be warnings); 1: not; 2: the file cannot be read.

    Example: perturbarena submit check submission.zip --track A --questions test.csv
    """
    from perturbarena.challenge.formats import read_questions
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.submission import check_submission

    report = check_submission(
        file, challenge=load_challenge(challenge), track=track, questions=read_questions(questions)
    )
    if as_json:
        print_json(report.to_json())
    else:
        _print(file, report)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def pack(
    predictions: Annotated[
        Path, typer.Argument(help="The table with all columns of the track (CSV, also gzipped).")
    ],
    track: Track,
    output: Annotated[Path, typer.Option("-o", "--output", help="The zip to write.")],
    prompt: Annotated[Path | None, typer.Option(help="The prompt, as text.")] = None,
    tools: Annotated[Path | None, typer.Option(help="Folder with the tools' code.")] = None,
    disclosure: Annotated[
        Path | None, typer.Option(help="TOML or JSON: ai_role, training_data, code_url, notes.")
    ] = None,
    questions: Annotated[Path | None, typer.Option(help="CSV with id, pert, gene: check after packing.")] = None,
    challenge: ChallengeName = "bioreasoning-2026",
    as_json: Json = False,
) -> None:
    """Pack predictions, prompt and tools into a zip; the same input gives the same bytes.

    With --questions the zip is checked as 'submit check' does; it is written either way, and the exit code tells.

    Example: perturbarena submit pack answers.csv --track A --prompt prompt.txt --questions test.csv -o entry.zip
    """
    from perturbarena.challenge.formats import read_questions
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.submission import check_submission
    from perturbarena.submission import pack as pack_bundle

    spare_inputs((output,), (predictions, prompt, disclosure, questions))
    rules = load_challenge(challenge)
    asked = read_questions(questions) if questions else None
    bundle = pack_bundle(
        predictions, output, challenge=rules, track=track, prompt=prompt, tools=tools, disclosure=disclosure
    )
    if bundle.left_out:
        progress_console().print(f"left out: {', '.join(bundle.left_out)}", markup=False)
    packed = {"file": str(bundle.path), "sha256": bundle.sha256, "packed": list(bundle.files)}
    report = None
    if asked is not None:
        report = check_submission(output, challenge=rules, track=track, questions=asked)
    if as_json:
        print_json({**packed, **(report.to_json() if report else {})})
    else:
        console().print(
            f"{bundle.path}: {', '.join(bundle.files)}; sha256 {bundle.sha256}", markup=False, soft_wrap=True
        )
        if report:
            _print(output, report)
    if report is not None and not report.ok:
        raise typer.Exit(1)


@app.command()
def rules(as_json: Json = False) -> None:
    """List every rule of 'submit check' with its fix, as Markdown.

    Example: perturbarena submit rules
    """
    from perturbarena.submission import RULES, rules_markdown

    if as_json:
        print_json({name: rule._asdict() for name, rule in RULES.items()})
    else:
        typer.echo(rules_markdown(), nl=False)


def _print(file: Path, report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    from perturbarena.challenge.words import counted

    errors = [p for p in report.problems if p.severity == "error"]
    out = console()
    if report.problems:
        table = Table("rule", "row", "column", "what and how to mend it")
        for p in report.problems:
            style = "red" if p.severity == "error" else "yellow"
            table.add_row(
                Text(p.rule, style), str(p.row or ""), Text(p.column or "", overflow="fold"), Text(p.message)
            )
        out.print(table)
    warnings = len(report.problems) - len(errors)
    verdict = "well-formed" if report.ok else "not well-formed"
    out.print(
        f"{file}: {verdict}; track {report.track} of {report.challenge}, {counted(report.n_rows, 'row')}, "
        f"{counted(len(errors), 'problem')}, {counted(warnings, 'warning')}",
        markup=False,
        soft_wrap=True,
    )
