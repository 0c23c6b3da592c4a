"""The command line: one file per command group; each parses, makes one call, prints.

``main`` is the only place where an error becomes an exit code:

====  ==========================================================
0     done
1     the answer is "no" (a check found problems)
2     the input is wrong; one line on stderr says what and where
130   interrupted
====  ==========================================================

Heavy libraries are imported inside the commands, so that ``perturbarena --help`` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from perturbarena.cli import app as _app
from perturbarena.cli.output import print_json
from perturbarena.errors import PerturbarenaError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit. ``argv`` defaults to the process's own arguments."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the command line; return the exit code."""
    try:
        code = _app.command()(args=list(argv), prog_name="perturbarena", standalone_mode=False)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.Abort:
        return _interrupted()
    except KeyboardInterrupt:
        return _interrupted()
    except TyperException as error:
        return _refuse(error.format_message().replace("Value error, ", ""), argv)
    except PerturbarenaError as error:
        return _refuse(str(error), argv)
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code if isinstance(code, int) else 0


def _refuse(message: str, argv: Sequence[str]) -> int:
    line = " ".join(message.split())
    if not line:  # a group called without a command has printed its help
        return 2
    if "--json" in argv:
        print_json({"error": line})
    print(f"error: {line}", file=sys.stderr)  # noqa: T201
    return 2


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)  # noqa: T201
    return 130
