"""Size factors: how deeply each cell was sequenced, relative to the others."""

from __future__ import annotations

from typing import Final

import numpy as np

from perturbarena.errors import InputError

EMPTY_CELL: Final = 0.001
"""Size factor of a cell without counts."""


def normed_sum(total_counts: np.ndarray) -> np.ndarray:
    """Total counts over their geometric mean, shape (n,).

    Cells without counts are left out of the mean and get ``EMPTY_CELL``
    (doi:10.1093/bioinformatics/btaa1009, method ``normed_sum``).

    Raises
    ------
    InputError
        If every cell is empty.
    """
    total = np.asarray(total_counts, np.float64)
    counted = total > 0
    if not counted.any():
        raise InputError(f"size factors need a cell with counts; all {len(total)} cells are empty")
    factor = np.full(len(total), EMPTY_CELL)
    factor[counted] = total[counted] / np.exp(np.log(total[counted]).mean())
    return factor
