"""Artificial perturbations: control cells tested against the other controls, where nothing can be true.

Each artificial perturbation pools the cells of four control units (guides, or control genes), drawn at random, and
goes the whole path of a real one. Its fold changes are shrunk with the prior of the real perturbations: a prior
fitted on nulls alone would shrink everything away and pass by construction.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy import stats

from perturbarena.errors import InputError
from perturbarena.screen.cells import Cells, Controls
from perturbarena.screen.effects import Fits, Progress, shrink
from perturbarena.stats.fdr import MAX_FDR, moved_genes
from perturbarena.stats.nb_glm import PerturbationFit
from perturbarena.stats.shrinkage import Prior

UNITS_EACH: Final = 4
"""Control units pooled to one artificial perturbation; the published screen drew quartets."""
CONFIDENCE: Final = 0.975


@dataclass(frozen=True, slots=True)
class NullCalibration:
    """K artificial perturbations and what was found significant in them.

    ``moved`` and ``moved_unshrunken``, shape (K,): genes that pass FDR and shrunken fold change, and FDR alone.
    ``pvalue``, shape (K, G). ``real_moved`` is the mean number of moved genes of a real perturbation.
    """

    units: tuple[tuple[str, ...], ...]
    n_cells: np.ndarray
    moved: np.ndarray
    moved_unshrunken: np.ndarray
    pvalue: np.ndarray
    real_moved: float

    @property
    def empirical_fdr(self) -> float:
        """Mean false positives of a null over mean positives of a real perturbation; NaN without positives."""
        return float(self.moved.mean() / self.real_moved) if self.real_moved > 0 else math.nan

    @property
    def clean(self) -> bool:
        """Whether the share of nulls with a finding by FDR alone is compatible with the FDR itself.

        Where every null hypothesis holds, an FDR of 5 % lets 5 % of nulls have a finding. Not clean: the lower end
        of the share's exact one-sided 97.5 % interval lies above that.
        """
        n, hits = len(self.moved_unshrunken), int((self.moved_unshrunken > 0).sum())
        lowest = stats.beta.ppf(1 - CONFIDENCE, hits, n - hits + 1) if hits else 0.0
        return bool(lowest <= MAX_FDR)

    def table(self, *, shrunken: bool = True) -> dict[int, int]:
        """How many nulls have 0, 1, 2, … significant genes."""
        moved = self.moved if shrunken else self.moved_unshrunken
        values, counts = np.unique(moved, return_counts=True)
        return dict(zip(values.tolist(), counts.tolist(), strict=True))

    def as_json(self) -> dict[str, Any]:
        """Plain values: both tables, means, the empirical FDR and whether the nulls are clean."""
        return {
            "nulls": len(self.units),
            "significant": {str(k): n for k, n in self.table().items()},
            "significant_unshrunken": {str(k): n for k, n in self.table(shrunken=False).items()},
            "mean_significant": float(self.moved.mean()),
            "mean_significant_real": self.real_moved,
            "empirical_fdr": None if math.isnan(self.empirical_fdr) else self.empirical_fdr,
            "clean": self.clean,
        }


def calibrate(
    cells: Cells,
    control_rows: np.ndarray,
    unit: np.ndarray,
    *,
    prior: Prior,
    real: Fits,
    real_shrunk: np.ndarray,
    n_nulls: int,
    rng: np.random.Generator,
    shrink_by: str = "standard_error",
    min_cells: int = 1,
    workers: int | None = None,
    progress: Progress | None = None,
) -> NullCalibration:
    """Test artificial perturbations against the shared controls that are not in them.

    Parameters
    ----------
    control_rows
        The control cells that real perturbations are tested against.
    unit
        The control unit of every cell of the screen, shape (n,); empty for cells that are no controls.
    real, real_shrunk
        Results of the real perturbations, and their shrunken fold changes, shape (k, G).
    n_nulls
        How many; fewer where there are not that many different draws.

    Raises
    ------
    InputError
        If there are fewer than five control units: four make a null, and some must remain.
    """
    quartets = draw_quartets(unit, n_nulls, rng=rng)
    rows = [np.flatnonzero(np.isin(unit, quartet)) for quartet in quartets]
    usable = [i for i, r in enumerate(rows) if len(r) >= min_cells]
    if not usable:
        raise InputError(
            f"no draw of {UNITS_EACH} control units has {min_cells} cells; the largest has {max(map(len, rows))}"
        )

    def test(perturbed: np.ndarray) -> PerturbationFit:
        return Controls.of(cells, np.setdiff1d(control_rows, perturbed)).test(perturbed)

    fits: list[PerturbationFit] = []
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for fit in pool.map(test, [rows[i] for i in usable]):
            fits.append(fit)
            if progress is not None:
                progress(len(fits), len(usable))
    null = Fits.of(fits)
    shrunk = shrink(null, prior, shrink_by).log2fc
    real_moved = moved_genes(real.fdr, real_shrunk)[real.estimated].sum(axis=1)
    return NullCalibration(
        units=tuple(quartets[i] for i in usable),
        n_cells=np.array([len(rows[i]) for i in usable]),
        moved=moved_genes(null.fdr, shrunk).sum(axis=1),
        moved_unshrunken=(null.fdr < MAX_FDR).sum(axis=1),
        pvalue=null.pvalue,
        real_moved=float(real_moved.mean()),
    )


def draw_quartets(unit: np.ndarray, n: int, *, rng: np.random.Generator) -> list[tuple[str, ...]]:
    """Different sets of four control units, at most ``n``."""
    names = sorted(set(unit) - {""})
    if len(names) <= UNITS_EACH:
        got = ", ".join(names) or "none"
        raise InputError(
            f"null calibration needs at least {UNITS_EACH + 1} control units; got {len(names)} ({got})"
        )
    possible = math.comb(len(names), UNITS_EACH)
    drawn: dict[tuple[str, ...], None] = {}
    while len(drawn) < min(n, possible):
        pick = rng.choice(len(names), UNITS_EACH, replace=False)
        drawn[tuple(names[i] for i in sorted(pick))] = None
    return list(drawn)


def quantiles(pvalue: np.ndarray, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Expected and observed −log10 p at n quantiles, evenly spaced on the log scale, for a QQ plot."""
    flat = np.sort(pvalue[~np.isnan(pvalue)])
    rank = np.unique(np.geomspace(1, len(flat), n).astype(int))
    return -np.log10(rank / (len(flat) + 1)), -np.log10(flat[rank - 1])


def units_of(guide: Sequence[str] | np.ndarray, is_control: np.ndarray) -> np.ndarray:
    """The control unit of each cell: its guide in control cells, empty elsewhere."""
    return np.where(is_control, np.asarray(guide, object), "").astype(object)
