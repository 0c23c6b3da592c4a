"""An explanation as a figure: shifts without each path, perturbation and block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perturbarena.report import ShiftBar, ShiftPanel, draw_shifts
from perturbarena.workflows.explain.record import Explanation, Shift

MOST: Final = 10
"""Bars in a panel."""


def explanation_figure(path: Path | str, why: Explanation) -> None:
    """Draw an explanation's shifts.

    Raises
    ------
    InputError
        If the file's suffix is unknown.
    """
    marked = [(f"{one.text} ({'for' if one.agrees else 'against'})", one.without) for one in why.paths]
    panels = [
        ShiftPanel("Without a path", _bars(marked)),
        ShiftPanel("Without a perturbation's rows", _bars([(one.pert, one.without) for one in why.leaned])),
        ShiftPanel("Without a block", _bars([(shift.name, shift) for shift in why.blocks])),
    ]
    up, down = why.answer
    title = f"{why.pert} perturbed: {why.gene} goes up with {up:.3f}, down with {down:.3f}"
    draw_shifts(path, panels=panels, title=title)


def _bars(shifts: Sequence[tuple[str, Shift]]) -> list[ShiftBar]:
    return [ShiftBar(name, shift.d_up, shift.d_down) for name, shift in shifts[:MOST]]
