"""``board team|token|deadline|release|embargo|announce|rescore|jobs|log|receipt|backup|restore …``: the state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console
from perturbarena.errors import InputError

if TYPE_CHECKING:
    from perturbarena.leaderboard import Store

Folder = Annotated[Path, typer.Argument(metavar="CHALLENGE_DIR", help="The challenge's folder.")]
Database = Annotated[str | None, typer.Option(metavar="URL", help="As for `serve`.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Zone = Annotated[str | None, typer.Option(help="The time's zone, such as Europe/Zurich; default: the board's.")]


def attach(app: typer.Typer) -> None:
    """Add the commands to the group ``board``."""
    for name, command in (
        ("team", team), ("member", member), ("token", token), ("tokens", tokens), ("revoke", revoke),
        ("deadline", deadline), ("release", release), ("embargo", embargo), ("announce", announce),
        ("baseline", baseline), ("rescore", rescore), ("jobs", jobs), ("log", log), ("receipt", receipt),
        ("backup", backup), ("restore", restore),
    ):  # fmt: skip
        app.command(name)(command)


def _open(folder: Path, url: str | None) -> Store:
    from perturbarena.leaderboard import open_store

    return open_store(folder, url=url)


def team(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="The team's name.")],
    members: Annotated[list[str] | None, typer.Option("--member", help="A member; may be repeated.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="The token ends after so many days.")] = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a team and its first token, which is printed once: give it to the team.

    Example: perturbarena board team challenge 'The Knockouts' --member 'Ada L.'
    """
    from perturbarena.leaderboard import create_team, create_token

    store = _open(folder, database)
    made = create_team(store, name, members=tuple(members or ()))
    secret = create_token(store, team=made.name, scopes=("read", "submit"), label="first token", days=days)
    if as_json:
        print_json(made.as_json() | {"token": secret.secret})
    else:
        console().print(f"team {made.id}: {made.name}\ntoken: {secret.secret}", markup=False, soft_wrap=True)


def member(
    folder: Folder,
    team: Annotated[str, typer.Argument(help="The team's name.")],
    name: Annotated[str, typer.Argument(help="The new member's name.")],
    database: Database = None,
) -> None:
    """Add a person to a team.

    Example: perturbarena board member challenge 'The Knockouts' 'Rosalind F.'
    """
    from perturbarena.leaderboard import add_member

    made = add_member(_open(folder, database), team, name)
    console().print(f"{made.name}: {', '.join(made.members)}", markup=False, soft_wrap=True)


def token(
    folder: Folder,
    team: Annotated[str | None, typer.Option(help="Whose; without it, an organiser's or a reviewer's.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option(help="read, submit, review, organise; may be repeated. Default: by whose.")
    ] = None,
    label: Annotated[str, typer.Option(help="By which people tell tokens apart; a reviewer's name.")] = "token",
    days: Annotated[int | None, typer.Option(min=1, help="It ends after so many days.")] = None,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Make a token; it is printed once and kept as a hash.

    Example: perturbarena board token challenge --scope review --label 'Prof. Curie' --days 60
    """
    from perturbarena.leaderboard import create_token

    scopes = scope or (["read", "submit"] if team is not None else ["organise"])
    made = create_token(_open(folder, database), team=team, scopes=scopes, label=label, days=days)
    if as_json:
        print_json({"id": made.id, "hint": made.hint, "token": made.secret, "scopes": scopes})
    else:
        told = f"token {made.id} ({', '.join(scopes)}): {made.secret}"
        console().print(told, markup=False, soft_wrap=True)


def tokens(folder: Folder, database: Database = None, as_json: Json = False) -> None:
    """List tokens by what is kept of them.

    Example: perturbarena board tokens challenge
    """
    from rich.table import Table

    from perturbarena.leaderboard import list_tokens

    known = list_tokens(_open(folder, database))
    if as_json:
        print_json(
            [
                {"id": t.id, "hint": t.hint, "label": t.label, "team": t.team, "scopes": list(t.scopes),
                 "revoked": t.revoked_at is not None, "expires_at": t.expires_at and t.expires_at.isoformat()}
                for t in known
            ]
        )  # fmt: skip
        return
    table = Table("id", "begins", "label", "team", "scopes", "state")
    for t in known:
        state = "revoked" if t.revoked_at else f"until {t.expires_at:%Y-%m-%d}" if t.expires_at else "valid"
        table.add_row(str(t.id), f"{t.hint}…", t.label, t.team or "", ", ".join(t.scopes), state)
    console().print(table)


def revoke(
    folder: Folder,
    token_id: Annotated[int, typer.Argument(help="The token's number, as `board tokens` prints it.")],
    database: Database = None,
) -> None:
    """Make a token useless at once, and sign out whoever came with it.

    Example: perturbarena board revoke challenge 3
    """
    from perturbarena.leaderboard import revoke_token

    revoke_token(_open(folder, database), token_id)
    console().print(f"token {token_id} is revoked")


def deadline(
    folder: Folder,
    at: Annotated[str, typer.Argument(help="When the challenge ends, such as '2026-12-01 18:00'.")],
    timezone: Zone = None,
    database: Database = None,
) -> None:
    """Move the deadline.

    Example: perturbarena board deadline challenge '2026-12-08 18:00' --timezone Europe/Zurich
    """
    from perturbarena.leaderboard import challenge_info, parse_time, set_deadline

    store = _open(folder, database)
    when = parse_time(at, timezone=timezone or challenge_info(store).timezone)
    set_deadline(store, when, timezone=timezone)
    _print_state(store)


def release(
    folder: Folder,
    at: Annotated[
        str | None, typer.Option(help="From when the private board is shown; default: at once after the deadline.")
    ] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Take it back, while it is not shown.")] = False,
    timezone: Zone = None,
    database: Database = None,
) -> None:
    """Show the private board, from now or from a time on. It cannot be taken back once it is shown.

    Example: perturbarena board release challenge
    """
    from perturbarena.leaderboard import challenge_info, parse_time, queue, set_release

    store = _open(folder, database)
    info = challenge_info(store)
    when = parse_time(at, timezone=timezone or info.timezone) if at else store.now()
    set_release(store, None if undo else when)
    _print_state(store)
    left = queue(store).get("check_score", {})
    n_left = left.get("waiting", 0) + left.get("running", 0)
    if n_left and not undo:
        progress_console().print(f"{n_left:,} submissions are not scored yet; the board fills as they are")


def embargo(
    folder: Folder,
    until: Annotated[str | None, typer.Option(help="Until when; without it the embargo is lifted.")] = None,
    reason: Annotated[str, typer.Option(help="Why; shown on the board.")] = "",
    timezone: Zone = None,
    database: Database = None,
) -> None:
    """Keep everything private back until a time, whatever the release says.

    Example: perturbarena board embargo challenge --until '2027-01-15 00:00' --reason 'until the paper is out'
    """
    from perturbarena.leaderboard import challenge_info, parse_time, set_embargo

    store = _open(folder, database)
    when = parse_time(until, timezone=timezone or challenge_info(store).timezone) if until else None
    if when is not None and not reason.strip():
        raise InputError("an embargo needs a --reason; it is shown on the board")
    set_embargo(store, when, reason=reason)
    _print_state(store)


def announce(
    folder: Folder,
    text: Annotated[str, typer.Argument(help="What entrants should know.")],
    database: Database = None,
) -> None:
    """Tell entrants something, on the board's front page.

    Example: perturbarena board announce challenge 'Three labels were corrected; all entries are scored anew.'
    """
    from perturbarena.leaderboard import announce as tell

    tell(_open(folder, database), text)
    console().print("announced")


def baseline(
    folder: Folder,
    name: Annotated[str, typer.Argument(help="What the row is called.")],
    predictions: Annotated[Path, typer.Argument(help="CSV with id, prediction_up, prediction_down.")],
    database: Database = None,
) -> None:
    """Add a row without a rank to every track.

    Example: perturbarena board baseline challenge 'Gene means' means.csv
    """
    from perturbarena.leaderboard import add_baseline

    add_baseline(_open(folder, database), name, predictions)
    console().print(f"{name} is queued for scoring", markup=False)


def rescore(
    folder: Folder,
    truth: Annotated[Path, typer.Argument(help="The corrected solution (id, label, Usage) or its folder.")],
    reason: Annotated[str, typer.Option(help="What was corrected and why; shown on the board.")],
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Correct the truth: a new version, under which everything is scored anew. Old scores are kept.

    Example: perturbarena board rescore challenge corrected.csv --reason 'three labels were swapped'
    """
    from perturbarena.leaderboard import correct_truth, queue

    store = _open(folder, database)
    made = correct_truth(store, truth / "solution.csv" if truth.is_dir() else truth, reason=reason)
    waiting = queue(store).get("rescore", {}).get("waiting", 0)
    if as_json:
        print_json({"version": made.number, "sha256": made.sha256, "to_rescore": waiting})
    else:
        console().print(f"truth version {made.number}; {waiting:,} submissions are queued to be scored anew")


def jobs(
    folder: Folder,
    retry: Annotated[bool, typer.Option("--retry", help="Queue jobs that were given up again.")] = False,
    database: Database = None,
    as_json: Json = False,
) -> None:
    """How many jobs wait, run, are done or were given up; and why.

    Example: perturbarena board jobs challenge
    """
    from rich.table import Table

    from perturbarena.leaderboard import list_jobs, queue, retry_failed

    store = _open(folder, database)
    if retry:
        progress_console().print(f"{retry_failed(store)} jobs are queued again")
    counts = queue(store)
    failed = list_jobs(store, state="failed")
    if as_json:
        print_json({"queue": counts, "failed": [{"id": j.id, "kind": j.kind, "error": j.error} for j in failed]})
        return
    states = ("waiting", "running", "done", "failed")
    table = Table("kind", *states)
    for kind, of in sorted(counts.items()):
        table.add_row(kind, *(f"{of.get(state, 0):,}" for state in states))
    console().print(table)
    for job in failed:
        console().print(f"job {job.id} ({job.kind}) was given up: {job.error}", markup=False, soft_wrap=True)


def log(
    folder: Folder,
    verify: Annotated[bool, typer.Option("--verify", help="Work out the chain of hashes anew; exit 1 if broken.")]
    = False,
    after: Annotated[int, typer.Option(min=0, help="Only entries after this one.")] = 0,
    database: Database = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Print the log of every change of state, or verify that nobody has altered it.

    Example: perturbarena board log challenge --verify
    """
    import json

    from perturbarena.leaderboard import read_log, verify_chain

    store = _open(folder, database)
    if verify:
        chain = verify_chain(store)
        found = {"ok": chain.ok, "entries": chain.n, "last": chain.last, "why": chain.why}
        if as_json:
            print_json(found)
        else:
            told = f"{chain.n:,} entries, the last {chain.last}" if chain.ok else f"NOT whole: {chain.why}"
            console().print(told, soft_wrap=True)
        if not chain.ok:
            raise typer.Exit(1)
        return
    entries = read_log(store, after=after)
    if as_json:
        print_json([entry.as_json() for entry in entries])
        return
    for e in entries:
        detail = json.dumps(e.detail, ensure_ascii=False)
        typer.echo(f"{e.seq}\t{e.at:%Y-%m-%d %H:%M:%S}\t{e.actor}\t{e.kind}\t{e.subject}\t{detail}")


def receipt(
    folder: Folder,
    file: Annotated[Path, typer.Argument(help="A receipt as JSON, as entrants got it.")],
    database: Database = None,
) -> None:
    """Say whether a receipt holds: in the tables, in the log, and in the stored file. Exit 1 if not.

    Example: perturbarena board receipt challenge receipt.json
    """
    import json

    from perturbarena.leaderboard import verify_receipt

    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(stated, dict):
        raise InputError(f"{file} must hold one JSON object")
    wrong = verify_receipt(_open(folder, database), stated)
    for line in wrong:
        console().print(line, markup=False, soft_wrap=True)
    if wrong:
        raise typer.Exit(1)
    console().print("the receipt holds")


def backup(
    folder: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.tar", help="The archive to write.")],
    database: Database = None,
    as_json: Json = False,
) -> None:
    """Write everything into one archive while the board goes on. It holds the truth: keep it safe.

    Example: perturbarena board backup challenge -o challenge-backup.tar
    """
    from perturbarena.leaderboard import back_up

    made = back_up(_open(folder, database), output)
    if as_json:
        print_json({"file": str(made.path), "rows": made.rows, "files": made.n_files, "bytes": made.size})
    else:
        rows = f"{sum(made.rows.values()):,} rows, {made.n_files:,} submissions, {made.chain.n:,} log entries"
        console().print(f"{made.path}: {rows}, {made.size:,} bytes", markup=False, soft_wrap=True)


def restore(
    archive: Annotated[Path, typer.Argument(help="A backup.")],
    folder: Annotated[Path, typer.Argument(metavar="CHALLENGE_DIR", help="A new folder.")],
    database: Database = None,
) -> None:
    """Make a challenge's folder and database from a backup, verified; also from SQLite into PostgreSQL.

    Example: perturbarena board restore challenge-backup.tar challenge
    """
    from perturbarena.leaderboard import restore as bring_back

    store = bring_back(archive, folder, url=database)
    _print_state(store)


def _print_state(store: Store) -> None:
    from perturbarena.leaderboard import challenge_info
    from perturbarena.leaderboard.phases import zone

    info = challenge_info(store)
    here = zone(info.timezone)
    told = [f"{info.title}: {info.phase}", f"deadline {info.deadline.astimezone(here):%Y-%m-%d %H:%M}"]
    for what, at in (("release", info.release_at), ("embargo until", info.embargo_until)):
        if at is not None:
            told.append(f"{what} {at.astimezone(here):%Y-%m-%d %H:%M}")
    console().print(f"{', '.join(told)} ({info.timezone})", markup=False, soft_wrap=True)
