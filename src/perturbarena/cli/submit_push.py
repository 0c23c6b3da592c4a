"""``perturbarena submit push``: hand a zip in to a board and keep the receipt."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import console, print_json, progress_bar, progress_console, spare_inputs
from perturbarena.errors import FormatError

if TYPE_CHECKING:
    from perturbarena.submission import BoardClient

POLL_SECONDS = 1.0
_UNDER_WAY = ("received", "scored")


def push(
    file: Annotated[Path, typer.Argument(help="The submission's zip.")],
    track: Annotated[str, typer.Option(help="The track, such as A.")],
    server: Annotated[
        str,
        typer.Option(envvar="PERTURBARENA_BOARD", help="The board's address, such as https://board.example.org."),
    ],
    note: Annotated[str, typer.Option(help="A note for your own team.")] = "",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the receipt goes; default: beside the zip.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for the check and the public score; 0: do not wait.")
    ] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Hand a zip in to a board; keep the receipt, wait for the check and the public score.

    The token is taken from the environment variable PERTURBARENA_TOKEN alone. The receipt's SHA-256 is held
    against the file's. Sending the same file again is safe: it gives the same receipt and does not count.

    Exit code 0: handed in (and not refused while waiting); 1: the check refused it; 2: it was not taken.

    Example: perturbarena submit push entry.zip --track A --server https://board.example.org
    """
    from perturbarena.challenge.formats import write_json
    from perturbarena.submission import TOKEN_VARIABLE, BoardClient

    receipt_path = output or file.with_suffix(".receipt.json")
    spare_inputs((receipt_path,), (file,))
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise FormatError(f"set the environment variable {TOKEN_VARIABLE} to your team's token")
    client = BoardClient(server, token)
    with progress_bar("sending") as step:
        receipt = client.push(file, track=track, note=note, progress=step)
    write_json(receipt_path, receipt.as_json())
    if not as_json:
        told = "handed in before; the same receipt" if receipt.repeated else "handed in"
        console().print(
            f"{file}: {told}, track {receipt.track}, team {receipt.team}, {receipt.received_at}\n"
            f"sha256 {receipt.sha256}, as here; receipt in {receipt_path}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    page = _wait_for(client, receipt.submission, seconds=wait) if wait else None
    if as_json:
        print_json({"receipt": receipt.as_json(), "submission": page})
    elif page is not None:
        _tell(page)
    if page is not None and page["line"]["state"] == "rejected":
        raise typer.Exit(1)


def _wait_for(client: BoardClient, public_id: str, *, seconds: float) -> dict[str, Any]:
    end = time.monotonic() + seconds
    with progress_console().status("waiting for the check and the score"):
        while True:
            page = client.submission(public_id)
            if page["line"].get("state") not in _UNDER_WAY or time.monotonic() > end:
                return page
            time.sleep(POLL_SECONDS)


def _tell(page: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from perturbarena.submission.push import shown

    line, out = page["line"], console()
    problems = page.get("problems") or []
    if problems:
        table = Table("rule", "row", "column", "what and how to mend it")
        for p in problems:
            style = "red" if p.get("severity") == "error" else "yellow"
            table.add_row(
                Text(shown(p.get("rule")), style), shown(p.get("row")), Text(shown(p.get("column"))),
                Text(shown(p.get("message"))),
            )  # fmt: skip
        out.print(table)
    score = line.get("public")
    if line["state"] == "rejected":
        out.print("the check refused it; it does not count for the day's limit")
    elif score:
        interval = "" if score["low"] is None else f", 95 % interval {score['low']:.3f} to {score['high']:.3f}"
        value = "undefined" if score["score"] is None else f"{score['score']:.3f}"
        out.print(f"on the board: public score {value}{interval} ({score['n']:,} rows)", markup=False)
    else:
        out.print(f"not finished yet ({line['state']}); look at the board later", markup=False)
