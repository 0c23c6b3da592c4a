"""``perturbarena audit``: is a submission honest?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console

if TYPE_CHECKING:
    from perturbarena.submission.audit import Audit
    from perturbarena.workflows.review_submission import Review

_REVIEW = "A model's opinion (advisory)"


def attach(app: typer.Typer) -> None:
    """Add ``audit``."""
    app.command()(audit)


def audit(
    files: Annotated[list[Path], typer.Argument(help="Submissions to one track.", metavar="FILE.zip…")],
    track: Annotated[str, typer.Option(help="The track, such as B.")],
    questions: Annotated[Path, typer.Option(help="CSV with id, pert, gene.")],
    challenge: Annotated[
        str, typer.Option(help="A bundled challenge's name, or the path of a rules file.")
    ] = "bioreasoning-2026",
    against: Annotated[
        Path | None, typer.Option(help="Folder of other submissions to compare with.", metavar="DIR")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page for the panel (one FILE).")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 if a finding is severe.")] = False,
    review: Annotated[
        str | None, typer.Option(help="Ask this model for its opinion.", metavar="MODEL", rich_help_panel=_REVIEW)
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Its server's address, …/v1.", metavar="URL", rich_help_panel=_REVIEW)
    ] = None,
    rubric: Annotated[
        Path | None, typer.Option(help="What it is asked, in place of the shipped text.", rich_help_panel=_REVIEW)
    ] = None,
    review_rows: Annotated[
        int, typer.Option(min=1, max=200, help="Rows that it is shown.", rich_help_panel=_REVIEW)
    ] = 16,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Look for what an honest run cannot show: metadata against traces, copies, pasted answers, other models.

    Nothing of a submission is executed. Findings are evidence for people, who decide. Several files, and those
    of --against, are compared with each other.

    Example: perturbarena audit entry.zip --track B --questions test.csv --html entry.html
    """
    from perturbarena.challenge.formats import atomic, read_questions
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.errors import InputError
    from perturbarena.submission.audit import html_report
    from perturbarena.workflows.audit_submission import audit_submissions

    if len(files) > 1 and (html is not None or review is not None):
        raise InputError(f"--html and --review are for one submission; got {len(files)}")
    if review is None and (rubric is not None or base_url is not None):
        raise InputError("--rubric and --base-url go with --review MODEL")
    rules = load_challenge(challenge)
    found = audit_submissions(
        files, challenge=rules, track=track, questions=read_questions(questions), against=_zips(against),
        report=lambda what: progress_console().print(what, style="dim", markup=False),
    )  # fmt: skip
    opinion = _review(found.audits[0], review, base_url, rubric, review_rows) if review is not None else None
    if html is not None:
        with atomic(html) as file:
            file.write(html_report(found.audits[0], review=opinion.as_json() if opinion else None))
    if as_json:
        print_json(found.as_json() | ({"review": opinion.as_json()} if opinion else {}))
    else:
        for one in found.audits:
            _print(one)
        for path, why in found.unread.items():
            progress_console().print(f"not compared: {path}: {why}", markup=False)
        if opinion is not None:
            _print_review(opinion)
    if strict and any(one.counts["severe"] for one in found.audits):
        raise typer.Exit(1)


def _zips(folder: Path | None) -> list[Path]:
    from perturbarena.errors import FormatError

    if folder is None:
        return []
    if not folder.is_dir():
        raise FormatError(f"no such folder: {folder}")
    return sorted(folder.glob("*.zip"))


def _review(audit: Audit, model: str, base_url: str | None, rubric: Path | None, n_rows: int) -> Review:
    import numpy as np

    from perturbarena.workflows.review_submission import review_submission

    rng = np.random.default_rng(0)
    return review_submission(audit, model=model, base_url=base_url, rng=rng, rubric=rubric, n_rows=n_rows)


def _print(audit: Audit) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    styles = {"severe": "bold red", "warning": "yellow", "note": "dim"}
    if audit.findings:
        table = Table("severity", "rule", "what", "rows")
        for f in audit.findings:
            rows = ", ".join(f.rows[:2]) + (", …" if len(f.rows) > 2 else "")
            table.add_row(Text(f.severity, styles[f.severity]), Text(f.rule), Text(f.message), Text(rows))
        out.print(table)
    counts = ", ".join(f"{n} {severity}" for severity, n in audit.counts.items())
    out.print(f"{audit.case.path}: {counts}; people decide what it means", markup=False, soft_wrap=True)


def _print_review(review: Review) -> None:
    from rich.text import Text

    out = console()
    for opinion in review.opinions:
        out.print(Text(f"{review.model} (advice): {opinion.verdict}: {opinion.reason}"), soft_wrap=True)
        for quote in opinion.quotes:
            mark = "" if quote.found else "  [NOT IN THE ROW]"
            out.print(Text(f"  {quote.id}: {quote.quote!r}{mark}"), soft_wrap=True)
