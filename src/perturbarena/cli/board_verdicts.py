"""``board disqualify|reinstate|hide|queue|fetch|review|award|results``: what people decide about entries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json
from perturbarena.errors import InputError

if TYPE_CHECKING:
    from perturbarena.leaderboard import Results, Store

Folder = Annotated[Path, typer.Argument(metavar="CHALLENGE_DIR", help="The challenge's folder.")]
Database = Annotated[str | None, typer.Option(metavar="URL", help="As for `serve`.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Track = Annotated[str, typer.Option(help="The track, such as A.")]
SubmissionId = Annotated[str, typer.Argument(help="A submission's id, as receipts and pages show it.")]
Reason = Annotated[str, typer.Option(help="Why; shown on the board.")]


def attach(app: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    for name, command in (
        ("disqualify", disqualify), ("reinstate", reinstate), ("hide", hide), ("queue", queue_),
        ("fetch", fetch), ("review", review), ("review-model", review_model), ("award", award),
        ("results", results_),
    ):  # fmt: skip
        app.command(name)(command)


def _open(folder: Path, url: str | None) -> Store:
    from perturbarena.leaderboard import open_store

    return open_store(folder, url=url)


def disqualify(
    folder: Folder,
    reason: Reason,
    team: Annotated[str | None, typer.Option(help="A whole team.")] = None,
    submission: Annotated[str | None, typer.Option(help="One submission, by its id.")] = None,
    database: Database = None,
) -> None:
    """Take a team or a submission off the ranking; it stays visible, with the reason.

    Example: perturbarena board disqualify challenge --team 'The Copycats' --reason 'answers of another team'
    """
    from perturbarena.leaderboard import disqualify_submission, disqualify_team

    store = _open(folder, database)
    if (team is None) == (submission is None):
        raise InputError("one of --team and --submission is needed")
    if not reason.strip():
        raise InputError("a --reason is needed; it is shown on the board")
    if team is not None:
        disqualify_team(store, team, reason=reason)
    else:
        disqualify_submission(store, submission or "", reason=reason)
    console().print(f"{team or submission} is disqualified: {reason}", markup=False, soft_wrap=True)


def reinstate(
    folder: Folder,
    reason: Reason = "decided by the organisers",
    team: Annotated[str | None, typer.Option(help="A whole team.")] = None,
    submission: Annotated[str | None, typer.Option(help="One submission, by its id.")] = None,
    database: Database = None,
) -> None:
    """Undo a disqualification, or a team's embargo.

    Example: perturbarena board reinstate challenge --team 'The Copycats' --reason 'the appeal was granted'
    """
    from perturbarena.leaderboard import disqualify_submission, reinstate_team

    store = _open(folder, database)
    if (team is None) == (submission is None):
        raise InputError("one of --team and --submission is needed")
    if team is not None:
        reinstate_team(store, team, reason=reason)
    else:
        disqualify_submission(store, submission or "", reason="")
    console().print(f"{team or submission} is back", markup=False, soft_wrap=True)


def hide(
    folder: Folder,
    team: Annotated[str, typer.Argument(help="The team's name.")],
    until: Annotated[str, typer.Option(help="Until when its rows are kept off the board.")],
    reason: Reason,
    timezone: Annotated[str | None, typer.Option(help="The time's zone; default: the board's.")] = None,
    database: Database = None,
) -> None:
    """Put a team under embargo: its rows are kept off the board until a time.

    Example: perturbarena board hide challenge 'The Knockouts' --until '2027-01-15 00:00' --reason 'patent filing'
    """
    from perturbarena.leaderboard import challenge_info, embargo_team, parse_time

    store = _open(folder, database)
    when = parse_time(until, timezone=timezone or challenge_info(store).timezone)
    embargo_team(store, team, until=when, reason=reason)
    console().print(f"{team} is hidden until {when:%Y-%m-%d %H:%M} UTC: {reason}", markup=False, soft_wrap=True)


def queue_(
    folder: Folder,
    track: Track,
    top: Annotated[int, typer.Option(min=1, help="How many of the track.")] = 5,
    private: Annotated[bool, typer.Option("--private", help="In the private order, before it is out.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """The best of a track with their audits and verdicts: what there is to review.

    Example: perturbarena board queue challenge --track A
    """
    from rich.table import Table
    from rich.text import Text

    from perturbarena.leaderboard import review_queue

    items = review_queue(_open(folder, database), track, top=top, private=private)
    if as_json:
        print_json([item.as_json() for item in items])
        return
    table = Table("rank", "team", "score", "audit", "verdicts")
    table.add_column("submission", no_wrap=True)  # whole, because it is copied into other commands
    for item in items:
        verdicts = "; ".join(f"{v.reviewer} ({v.kind}): {v.verdict}" for v in item.verdicts) or "none yet"
        score = "" if item.score is None else f"{item.score:.3f}"
        audit = f"{item.severe} severe, {item.warning} warnings, {item.note} notes"
        cells = (str(item.rank), item.team, score, audit, verdicts, item.submission)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    console().print(table)


def review(
    folder: Folder,
    submission: SubmissionId,
    verdict: Annotated[str, typer.Option(help="sound, doubtful or unsound.")],
    reason: Annotated[str, typer.Option(help="What the verdict rests on.")],
    reviewer: Annotated[str, typer.Option(help="Whose verdict it is.")],
    novelty: Annotated[int | None, typer.Option(min=1, max=5, help="For the most novel entry: 1 to 5.")] = None,
    model: Annotated[bool, typer.Option("--model", help="A language model's verdict, not an expert's.")] = False,
    database: Database = None,
) -> None:
    """Record a verdict on a submission. It decides nothing by itself.

    Example: perturbarena board review challenge 1f3e… --verdict sound --novelty 4 --reviewer 'Prof. Curie'
    --reason 'the tools look up pathways only'
    """
    from perturbarena.leaderboard import add_review

    kind = "model" if model else "expert"
    add_review(
        _open(folder, database), submission, verdict=verdict, reason=reason, novelty=novelty, kind=kind,
        reviewer=reviewer,
    )  # fmt: skip
    console().print(f"{reviewer}: {verdict}", markup=False)


def review_model(
    folder: Folder,
    submission: SubmissionId,
    model: Annotated[str, typer.Option(help="The model that is asked, as its server calls it.")],
    base_url: Annotated[str | None, typer.Option(metavar="URL", help="Its server's address, …/v1.")] = None,
    rows: Annotated[int, typer.Option(min=1, max=200, help="Rows that it is shown.")] = 16,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Ask a language model for its opinion and record it as a verdict of the kind `model`. It is advice.

    Example: perturbarena board review-model challenge 1f3e… --model qwen3-4b --base-url http://127.0.0.1:8001/v1
    """
    from perturbarena.workflows.leaderboard import review_by_model

    verdict, opinions = review_by_model(
        _open(folder, database), submission, model=model, base_url=base_url, n_rows=rows
    )
    if as_json:
        print_json({"verdict": verdict.verdict, "reason": verdict.reason, "review": opinions})
    else:
        console().print(f"{verdict.reviewer} (advice): {verdict.verdict}\n{verdict.reason}", markup=False)


def fetch(
    folder: Folder,
    submission: SubmissionId,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="A new or an empty folder.")],
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Take a submission's files out of its zip: its prompt, its tools, its table. Nothing is executed.

    To run its tools again, give their folder to `run agent --tools`, which fences them in.

    Example: perturbarena board fetch challenge 1f3e… -o entry
    """
    from perturbarena.leaderboard import unpack_submission

    names = unpack_submission(_open(folder, database), submission, output)
    if as_json:
        print_json({"folder": str(output), "files": names})
    else:
        console().print(f"{output}: {', '.join(names)}", markup=False, soft_wrap=True)


def award(
    folder: Folder,
    places: Annotated[str | None, typer.Option(metavar="TRACK", help="Award this track's first places.")] = None,
    count: Annotated[int, typer.Option(min=1, help="How many places.")] = 3,
    submission: Annotated[str | None, typer.Option(help="Another award: the submission that gets it.")] = None,
    name: Annotated[str, typer.Option(help="… its name.")] = "Most novel",
    place: Annotated[int, typer.Option(min=1, help="… its place.")] = 1,
    over_all: Annotated[bool, typer.Option("--over-all", help="… across all tracks.")] = False,
    citation: Annotated[str, typer.Option(help="… for what.")] = "",
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Give awards: the places of a track by the private board, or any other.

    Example: perturbarena board award challenge --places A; perturbarena board award challenge --submission 1f3e…
    --name 'Most novel' --over-all
    """
    from perturbarena.leaderboard import award_places, give_award

    store = _open(folder, database)
    if (places is None) == (submission is None):
        raise InputError("one of --places and --submission is needed")
    if places is not None:
        given = award_places(store, places, places=count)
    else:
        given = [give_award(store, submission or "", name=name, place=place, over_all=over_all, citation=citation)]
    if as_json:
        print_json([one.as_json() for one in given])
        return
    for one in given:
        where = f"track {one.track}" if one.track else "all tracks"
        console().print(f"{one.name} {one.place} ({where}): {one.team}; {one.citation}", markup=False)


def results_(folder: Folder, database: Database = None, as_json: Json = False) -> None:
    """The final results: awards, code links, and whose are missing.

    Example: perturbarena board results challenge
    """
    from perturbarena.leaderboard.results import results

    found = results(_open(folder, database))
    if as_json:
        print_json(found.as_json())
    else:
        _print_results(found)


def _print_results(found: Results) -> None:
    from rich.table import Table
    from rich.text import Text

    out = console()
    table = Table("award", "track", "place", "team", "code", "for")
    for a in found.awards:
        cells = (a.name, a.track or "all", str(a.place), a.team, a.code_url or "MISSING", a.citation)
        table.add_row(*(Text(cell, overflow="fold") for cell in cells))
    out.print(table)
    for board in found.boards:
        best = [row for row in board.rows if row.rank == 1]
        names = ", ".join(row.team for row in best) or "nobody"
        out.print(f"track {board.track}: {names} in front of {len(board.rows)} rows", markup=False)
    if found.without_code:
        told = f"no code link yet from {', '.join(found.without_code)}; the rules ask for one"
        out.print(told, markup=False, soft_wrap=True)
