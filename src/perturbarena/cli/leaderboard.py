"""``perturbarena serve``, ``worker``, ``board …``: run a challenge yourself."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.board_state import attach as attach_state
from perturbarena.cli.board_verdicts import attach as attach_verdicts
from perturbarena.cli.output import console, print_json, progress_console
from perturbarena.errors import InputError

if TYPE_CHECKING:
    from perturbarena.leaderboard import Board

app = typer.Typer(no_args_is_help=True, help="A challenge's board: make it, run it, look into it (organisers).")

Folder = Annotated[Path, typer.Argument(metavar="CHALLENGE_DIR", help="The challenge's folder.")]
Database = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="PostgreSQL instead of the folder's SQLite, such as postgresql://user@host/name; the password comes "
        "from PGPASSWORD or PGPASSFILE. Default: PERTURBARENA_DATABASE, then the folder's config.toml.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


class Queue(StrEnum):
    """Which jobs a worker takes."""

    all = "all"
    score = "score"
    audit = "audit"


def attach(parent: typer.Typer) -> None:
    """Add ``serve``, ``worker`` and ``board …``."""
    parent.command()(serve)
    parent.command()(worker)
    parent.add_typer(app, name="board")


def serve(
    folder: Folder,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    database: Database = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Background processes that check, score and audit; 0: run `worker` apart.")
    ] = 1,
    behind_tls: Annotated[
        bool, typer.Option("--behind-tls", help="A proxy adds TLS: cookies are Secure, its headers are believed.")
    ] = False,
) -> None:
    """Serve a challenge: pages, HTTP API (described at /api), and the processes that score.

    Ctrl-C ends all of it; whatever was being scored is taken up again at the next start.

    Example: perturbarena serve challenge --port 8000
    """
    from perturbarena.workflows.leaderboard import serve_challenge

    progress_console().print(f"serving {folder} at http://{host}:{port}/ (Ctrl-C ends it)", markup=False)
    serve_challenge(folder, url=database, host=host, port=port, workers=workers, behind_tls=behind_tls)


def worker(
    folder: Folder,
    only: Annotated[Queue, typer.Option(help="Which jobs: scores, audits, or all (scores first).")] = Queue.all,
    database: Database = None,
) -> None:
    """Work off a challenge's jobs, beside others if there are any, until stopped.

    Example: perturbarena worker challenge --only score
    """
    from perturbarena.workflows.leaderboard import run_worker

    progress_console().print(f"working for {folder} (Ctrl-C ends it)", markup=False)
    run_worker(folder, url=database, queue=only.value)


@app.command()
def create(
    folder: Folder,
    bench: Annotated[Path, typer.Option(help="The question set's folder (train.csv, test.csv, …).")],
    truth: Annotated[Path, typer.Option(help="The truth's folder or solution.csv (id, label, Usage).")],
    deadline: Annotated[str, typer.Option(help="When it ends, such as '2026-12-01 18:00'.")],
    timezone: Annotated[str, typer.Option(help="The deadline's time zone, such as Europe/Zurich.")] = "UTC",
    challenge: Annotated[
        str, typer.Option(help="The rules: a bundled challenge's name, or the path of a rules file.")
    ] = "bioreasoning-2026",
    title: Annotated[str, typer.Option(help="Shown on all pages; default: the rules' title.")] = "",
    opens: Annotated[str | None, typer.Option(help="From when submissions are taken; default: at once.")] = None,
    release: Annotated[
        str | None, typer.Option(help="From when the private board is shown; default: `board release`.")
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE.csv", help="Predictions shown as a row without a rank; may be repeated."),
    ] = None,
    daily_limit: Annotated[int, typer.Option(min=1, help="Submissions a team and UTC day.")] = 5,
    finals: Annotated[int, typer.Option(min=1, help="Final submissions a team and track.")] = 2,
    max_mib: Annotated[int, typer.Option(min=1, max=1024, help="Largest upload, in MiB.")] = 256,
    resamples: Annotated[int, typer.Option(min=2, help="Resamples each way behind intervals and ties.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of the resamples.")] = 0,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a challenge from a question set and its truth.

    The folder gets the rules, the questions, the truth (sealed, for its owner alone), config.toml, the database.

    Example: perturbarena board create challenge --bench bench --truth truth --deadline '2026-12-01 18:00'
    --timezone Europe/Zurich
    """
    from perturbarena.leaderboard import create_challenge, parse_time
    from perturbarena.workflows.leaderboard import BoardOptions, plan_from_folders

    def at(text: str | None):
        return None if text is None else parse_time(text, timezone=timezone)

    options = BoardOptions(
        deadline=parse_time(deadline, timezone=timezone), timezone=timezone, title=title, opens_at=at(opens),
        release_at=at(release), daily_limit=daily_limit, max_finals=finals, max_mib=max_mib, seed=seed,
        resamples=resamples, baselines=_baselines(baseline or []),
    )  # fmt: skip
    store = create_challenge(
        folder, plan_from_folders(bench, truth, challenge=challenge, options=options), url=database
    )
    made = {
        "folder": str(folder), "challenge": store.rules.name, "questions": len(store.questions),
        "tracks": list(store.rules.tracks), "deadline": options.deadline.isoformat(),
    }  # fmt: skip
    if as_json:
        print_json(made)
        return
    console().print(
        f"{folder}: {made['questions']:,} questions, tracks {', '.join(made['tracks'])}, until "
        f"{local_time(options.deadline, timezone)}\nnext: perturbarena board team {folder} 'Team name'; "
        f"perturbarena serve {folder}",
        markup=False, soft_wrap=True,
    )  # fmt: skip


@app.command()
def show(
    folder: Folder,
    track: Annotated[str, typer.Option(help="The track, such as A.")],
    part: Annotated[
        str | None, typer.Option(help="public or private, whatever the phase; default: what everybody sees.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Print a track's board.

    Example: perturbarena board show challenge --track A
    """
    from perturbarena.leaderboard import board_csv, open_store, organisers_board
    from perturbarena.leaderboard.board import board

    store = open_store(folder, url=database)
    if part not in (None, "public", "private"):
        raise InputError(f"--part is public or private; got {part}")
    shown = board(store, track) if part is None else organisers_board(store, track, view=part)  # pyright: ignore[reportArgumentType]
    if as_json:
        print_json(shown.as_json())
    elif as_csv:
        typer.echo(board_csv(shown), nl=False)
    else:
        _print_board(shown)


def local_time(at: Any, timezone: str) -> str:
    """A time as people in a zone read it, with the zone."""
    from perturbarena.leaderboard.phases import zone

    return f"{at.astimezone(zone(timezone)):%Y-%m-%d %H:%M} {timezone}"


def _baselines(stated: Sequence[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for text in stated:
        name, equals, path = text.partition("=")
        if not equals or not name.strip() or not path:
            raise InputError(f"--baseline needs NAME=FILE.csv; got {text!r}")
        if not Path(path).is_file():
            raise InputError(f"no such file: {path} (--baseline {name})")
        found[name.strip()] = Path(path)
    return found


def _print_board(board: Board) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("rank", "tied", "team", "score", "95 %", "DE", "DIR", "model", "submissions")
    for row in board.rows:
        style = "" if row.kind == "entry" else "dim"
        interval = "" if row.low is None or row.high is None else f"{row.low:.3f}–{row.high:.3f}"
        cells = [
            "" if row.rank is None else str(row.rank), "" if row.group is None else str(row.group),
            row.team + (f" ({row.note})" if row.note else ""), _number(row.score), interval, _number(row.de),
            _number(row.dir), row.model, str(row.n_submissions or ""),
        ]  # fmt: skip
        table.add_row(*(Text(cell, style) for cell in cells))
    out = console()
    out.print(table)
    out.print(
        f"track {board.track}, {board.view} part, truth version {board.truth_version}. {board.ties}", markup=False
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


attach_state(app)  # once, and behind this file's own commands
attach_verdicts(app)
