"""``perturbarena screen``: simulate or check a screen, estimate its effects, calibrate them on nulls."""

from __future__ import annotations

import typer

from perturbarena.cli import screen_check, screen_effects, screen_null, screen_simulate

app = typer.Typer(no_args_is_help=True, help="From Perturb-seq counts to effects.")
screen_check.attach(app)
screen_effects.attach(app)
screen_null.attach(app)
screen_simulate.attach(app)


def attach(parent: typer.Typer) -> None:
    """Add ``screen …``."""
    parent.add_typer(app, name="screen")
