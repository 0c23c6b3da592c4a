"""Many comparisons of perturbed cells with control cells: all the fitting that a screen needs, as one list.

Real perturbations and artificial ones differ only in how the list is made; who works it off, threads, other
processes or a job array, is :mod:`perturbarena.screen.blocks`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from perturbarena import __version__
from perturbarena.screen.cells import Cells, Controls
from perturbarena.screen.fits import Fits
from perturbarena.stats.nb_glm import PerturbationFit


@dataclass(frozen=True)
class Comparisons:
    """k sets of perturbed cells, each tested against control cells.

    ``perturbed``: rows of each set's cells. ``controls``: rows of the controls shared by all, ascending, without
    those that a set itself contains; or one set of rows for each. ``shared``: shared controls made ready once,
    where no perturbed cell is among them. ``recipe``: makes the same comparisons in another process; None for a
    screen that lies in memory alone.
    """

    cells: Cells
    perturbed: tuple[np.ndarray, ...]
    controls: np.ndarray | tuple[np.ndarray, ...]
    shared: Controls | None = None
    recipe: Callable[[], Comparisons] | None = None

    def __len__(self) -> int:
        return len(self.perturbed)

    def fit(self, i: int) -> PerturbationFit:
        """Fit and test the i-th set."""
        perturbed = self.perturbed[i]
        if self.shared is not None:
            return self.shared.test(perturbed)
        if isinstance(self.controls, tuple):
            return Controls.of(self.cells, self.controls[i]).test(perturbed)
        return Controls.of(self.cells, np.setdiff1d(self.controls, perturbed)).test(perturbed)

    def fit_block(self, block: range) -> Fits:
        """Fit the sets of a block one after the other."""
        return Fits.of([self.fit(i) for i in block])

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that the numbers depend on: counts, size factors, batches, rows, version."""
        digest = hashlib.sha256(f"{__version__} {self.cells.counts.get_shape()}".encode())
        counts = self.cells.counts
        for array in (counts.indptr, counts.indices, counts.data, self.cells.size_factor, self.cells.batch):
            digest.update(np.ascontiguousarray(array).data)
        controls = self.controls if isinstance(self.controls, tuple) else (self.controls,)
        for rows in (*self.perturbed, *controls):
            digest.update(f"{len(rows)} ".encode())
            digest.update(rows.astype(np.int64).data)
        return digest.hexdigest()
