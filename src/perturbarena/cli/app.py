"""The command tree: which commands there are and which file answers each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Annotated

import typer

from perturbarena import __version__
from perturbarena.cli import (
    audit,
    benchmark,
    challenge,
    compare,
    crossval,
    data,
    demo,
    explain,
    fake_model,
    fuse,
    knowledge,
    lab,
    leaderboard,
    mcp,
    optimize,
    parse,
    predict,
    report,
    run_agent,
    run_finetuned,
    run_prompt,
    run_tracks,
    score,
    screen,
    submit,
    tools,
    train,
)

GROUPS: tuple[ModuleType, ...] = (
    demo,
    challenge,
    data,
    knowledge,
    tools,
    mcp,
    screen,
    benchmark,
    run_tracks,
    run_prompt,
    run_agent,
    run_finetuned,
    train,
    optimize,
    predict,
    explain,
    crossval,
    fuse,
    parse,
    score,
    report,
    compare,
    submit,
    audit,
    leaderboard,
    lab,
    fake_model,
)
"""Each file's ``attach(app)`` adds its commands, in the order of the help page."""

HELP = """
Fair benchmarks, honest scores and validated submissions for models that predict what a gene knockout does.

An entrant's path: [b]data get[/] → [b]run[/] → [b]score[/] → [b]submit pack[/] → [b]submit check[/].
Start with [bold]perturbarena demo[/], which needs no data and no network.
"""


@cache
def build() -> typer.Typer:
    """The application with every command attached, made once: the groups are filled by it."""
    app = typer.Typer(
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode="rich",
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for group in GROUPS:
        group.attach(app)
    return app


@cache
def command() -> Callable[..., object]:
    """The same, ready to be called with a command line; reading a hundred signatures takes a tenth of a second."""
    return typer.main.get_command(build())


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    # a callback of its own, because the group's body runs only once a command is named
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    del version  # its callback has dealt with it
