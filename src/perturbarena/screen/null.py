"""Artificial perturbations: control cells tested against the other controls, where nothing can be true.

Each artificial perturbation pools the cells of four control units (guides, or control genes), drawn at random, and
goes the whole path of a real one. Its fold changes are shrunk with the prior of the real perturbations: a prior
fitted on nulls alone would shrink everything away and pass by construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from scipy import stats

from perturbarena.errors import InputError
from perturbarena.screen.comparisons import Comparisons
from perturbarena.screen.effects import Prepared, recipe_of, shrink
from perturbarena.screen.fits import Fits
from perturbarena.stats.fdr import MAX_FDR, moved_genes
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


class Nulls(NamedTuple):
    """K artificial perturbations: the control units of each, and its cells against the other controls."""

    units: tuple[tuple[str, ...], ...]
    comparisons: Comparisons


def draw_nulls(prepared: Prepared, n: int) -> Nulls:
    """Draw ``n`` artificial perturbations; fewer where there are not that many, or some have too few cells.

    The draw depends on the settings' seed alone.

    Raises
    ------
    InputError
        If the screen's guides are not known, or there are fewer than five control units: four make a null, and
        some must remain.
    """
    screen, settings = prepared.screen, prepared.settings
    if screen.guide is None:
        raise InputError("null calibration needs a column that names each control cell's guide (--null-unit)")
    unit = units_of(screen.guide, screen.is_control)
    quartets = draw_quartets(unit, n, rng=np.random.default_rng([settings.seed, 1]))
    rows = [np.flatnonzero(np.isin(unit, quartet)) for quartet in quartets]
    usable = [i for i, r in enumerate(rows) if len(r) >= settings.min_cells]
    if not usable:
        raise InputError(
            f"no draw of {UNITS_EACH} control units has {settings.min_cells} cells; "
            f"the largest has {max(map(len, rows))}"
        )
    comparisons = Comparisons(
        prepared.cells,
        perturbed=tuple(rows[i] for i in usable),
        controls=prepared.design.control_rows,
        recipe=recipe_of(prepared, partial(_null_comparisons, n=n)),
    )
    return Nulls(tuple(quartets[i] for i in usable), comparisons)


def _null_comparisons(prepared: Prepared, n: int) -> Comparisons:
    return draw_nulls(prepared, n).comparisons


def calibrate(nulls: Nulls, fits: Fits, *, prior: Prior, real_moved: float, shrink_by: str) -> NullCalibration:
    """What was found in artificial perturbations, given their fits.

    Parameters
    ----------
    prior
        That of the real perturbations.
    real_moved
        Mean number of moved genes of a real perturbation.
    """
    return NullCalibration(
        units=nulls.units,
        n_cells=np.array([len(rows) for rows in nulls.comparisons.perturbed]),
        moved=moved_genes(fits.fdr, shrink(fits, prior, shrink_by).log2fc).sum(axis=1),
        moved_unshrunken=(fits.fdr < MAX_FDR).sum(axis=1),
        pvalue=fits.pvalue,
        real_moved=real_moved,
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
