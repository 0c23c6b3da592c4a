"""Which cells are compared: every perturbation's own cells, and the control cells it is tested against.

All guides of a perturbation are pooled. A perturbation that cannot be estimated stays in the design, with its
reason.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perturbarena.errors import InputError
from perturbarena.screen.read import Screen


@dataclass(frozen=True, slots=True)
class Design:
    """Cells of k perturbations, in alphabetical order, and the controls.

    ``rows``: positions of each perturbation's cells in the screen, ascending; ``n_cells``: how many, shape (k,).
    ``reason``, shape (k,), object: why a perturbation is not estimated, ``""`` where it is. ``control_rows``: the
    shared controls, ascending. ``own_control_rows``: one draw for each perturbation, where that was asked for.
    """

    perturbations: np.ndarray
    n_cells: np.ndarray
    reason: np.ndarray
    rows: tuple[np.ndarray, ...]
    control_rows: np.ndarray
    own_control_rows: tuple[np.ndarray, ...] | None = None

    @property
    def estimable(self) -> np.ndarray:
        """Which perturbations can be estimated, shape (k,), bool."""
        return self.reason == ""


def design_screen(
    screen: Screen,
    *,
    min_cells: int,
    n_controls: int | None,
    rng: np.random.Generator,
    per_perturbation: bool = False,
) -> Design:
    """Choose the cells.

    Parameters
    ----------
    min_cells
        A perturbation with fewer cells is not estimated.
    n_controls
        Control cells to draw; None takes all.
    per_perturbation
        Draw controls anew for each perturbation. A draw depends on the seed and on the perturbation's place alone.
    """
    order = np.argsort(screen.perturbation.astype(str), kind="stable")
    names, first = np.unique(screen.perturbation[order].astype(str), return_index=True)
    groups = np.split(order, first[1:])
    chosen = [(name, rows) for name, rows in zip(names, groups, strict=True) if name != screen.control]
    control_rows = draw_controls(screen, n_controls, rng)
    controlled = np.unique(screen.batch[control_rows].astype(str))
    return Design(
        perturbations=np.array([str(name) for name, _ in chosen], object),
        n_cells=np.array([len(rows) for _, rows in chosen], np.int64),
        reason=np.array([_reason(screen, rows, controlled, min_cells) for _, rows in chosen], object),
        rows=tuple(rows for _, rows in chosen),
        control_rows=control_rows,
        own_control_rows=(
            tuple(draw_controls(screen, n_controls, own) for own in rng.spawn(len(chosen)))
            if per_perturbation
            else None
        ),
    )


def draw_controls(screen: Screen, n: int | None, rng: np.random.Generator) -> np.ndarray:
    """Positions of ``n`` control cells drawn without replacement, ascending; all where None or not so many.

    One cell of each batch is drawn first, so that no batch loses its controls by chance; the rest are drawn from
    all that are left.
    """
    controls = np.flatnonzero(screen.is_control)
    if n is not None and n < 1:
        raise InputError(f"the number of control cells must be positive; got {n}")
    if n is None or n >= len(controls):
        return controls
    shuffled = rng.permutation(controls)
    first_of_batch = np.unique(screen.batch[shuffled].astype(str), return_index=True)[1]
    others = np.delete(shuffled, first_of_batch)
    return np.sort(np.concatenate([shuffled[np.sort(first_of_batch)], others])[:n])


def _reason(screen: Screen, rows: np.ndarray, controlled: np.ndarray, min_cells: int) -> str:
    if len(rows) < min_cells:
        return f"too few cells: {len(rows)}, at least {min_cells} needed"
    batches = np.unique(screen.batch[rows].astype(str))
    if not np.isin(batches, controlled).any():
        return f"confounded with the batch: all its cells lie in {', '.join(batches)}, where no control cell lies"
    return ""
