"""Comparisons that end the process that fits them, for tests of what happens then."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from perturbarena.screen.comparisons import Comparisons
from perturbarena.screen.fits import Fits


class Fragile(Comparisons):
    """Ends its process, as ``kill -9`` does, at the block that starts at ``deadly``, while ``marker`` exists."""

    marker: Path
    deadly: int
    lasting: bool

    def fit_block(self, block: range) -> Fits:
        if block.start == self.deadly and self.marker.exists():
            if not self.lasting:
                self.marker.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().fit_block(block)


def fragile(recipe: Callable[[], Comparisons], marker: Path, deadly: int, lasting: bool = False) -> Fragile:
    """What the recipe makes, fragile."""
    made = recipe()
    result = Fragile(**{f.name: getattr(made, f.name) for f in fields(made)})
    for name, value in {"marker": marker, "deadly": deadly, "lasting": lasting}.items():
        object.__setattr__(result, name, value)
    return result
