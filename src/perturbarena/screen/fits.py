"""What was estimated for many perturbations, before shrinkage and after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.stats.nb_glm import PerturbationFit

PER_GENE: Final = ("log2fc", "se_log2fc", "pvalue", "fdr", "statistic")
"""What a fit gives for each gene, and the table keeps."""


@dataclass(frozen=True, slots=True)
class Fits:
    """Unshrunken results of k perturbations on G genes: arrays (k, G) float64; NaN where nothing was estimated.

    ``df2``, shape (k,), are the degrees of freedom of the F test's denominator.
    """

    log2fc: np.ndarray
    se_log2fc: np.ndarray
    pvalue: np.ndarray
    fdr: np.ndarray
    statistic: np.ndarray
    df2: np.ndarray

    @classmethod
    def of(cls, fits: Sequence[PerturbationFit]) -> Fits:
        """One row for each."""
        rows = {name: np.stack([getattr(f, name) for f in fits]) for name in PER_GENE}
        return cls(**rows, df2=np.array([f.df2 for f in fits]))

    @property
    def estimated(self) -> np.ndarray:
        """Which of the k were estimated, bool."""
        return ~np.isnan(self.df2)

    @classmethod
    def empty(cls, k: int, n_genes: int) -> Fits:
        """All NaN."""
        rows = {name: np.full((k, n_genes), np.nan) for name in PER_GENE}
        return cls(**rows, df2=np.full(k, np.nan))

    def put(self, rows: np.ndarray | slice, fits: Fits) -> None:
        """Write other fits into these rows."""
        for name, values in self.arrays().items():
            values[rows] = getattr(fits, name)

    def arrays(self) -> dict[str, Any]:
        """All arrays (ndarray) by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def error(self, shrink_by: str) -> np.ndarray:
        """What shrinkage takes for each fold change's error, shape (k, G)."""
        if shrink_by == "standard_error":
            return self.se_log2fc
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.abs(self.log2fc) / np.sqrt(self.statistic)
        return np.where((error > 0) & np.isfinite(error), error, self.se_log2fc)


class Shrunk(NamedTuple):
    """Shrunken fold changes (posterior means) and local false sign rates, shape (k, G)."""

    log2fc: np.ndarray
    lfsr: np.ndarray
