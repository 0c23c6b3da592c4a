"""Scores of parts of the rows: by effect size, expression, strength, gene class, or whatever a table holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from perturbarena.challenge.formats import read_table
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.errors import FormatError
from perturbarena.evaluation.metric import N_RESAMPLES, ScoredRows, ScoreResult, measure
from perturbarena.stats.binned import quantile_bins

KEYS: Final = ("id", "pert", "gene")
"""Columns by which a table of strata may name rows; all others are strata."""
MAX_LEVELS: Final = 8
"""A column of numbers with more different values than this is cut into quarters of the rows."""
QUARTERS: Final = 4


@dataclass(frozen=True, slots=True)
class Stratum:
    """The rows that have one value (or lie in one range) of one column, and their scores."""

    by: str
    value: str
    result: ScoreResult

    def as_json(self) -> dict[str, Any]:
        """Plain values; None where a number is undefined."""
        return {"by": self.by, "value": self.value} | self.result.as_json()


@dataclass(frozen=True, slots=True)
class Strata:
    """All strata in the table's order, and by column how many rows the table does not place."""

    strata: tuple[Stratum, ...]
    left_out: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"strata": [stratum.as_json() for stratum in self.strata], "rows_left_out": self.left_out}


def score_strata(
    rows: ScoredRows,
    truth: LabelledQuestions,
    path: Path,
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> Strata:
    """Score the rows of each stratum of a table on their own.

    Parameters
    ----------
    rows, truth
        In one order.
    path
        CSV with ``id``, or ``pert`` and ``gene``, or one of the two; every other column sorts rows into strata. A
        blank cell is no stratum.

    Raises
    ------
    FormatError
        If the table names rows by none of these, twice, has no further column, or meets none of the rows.
    """
    table = read_table(path)
    keys = ["id"] if "id" in table.columns else [name for name in ("pert", "gene") if name in table.columns]
    columns = [name for name in table.columns if name not in KEYS]
    if not keys or not columns:
        raise FormatError(
            f"{path} needs id, or pert and gene, or one of them, and a column to sort by; it has "
            f"{', '.join(table.columns)}"
        )
    repeated = table[table.duplicated(keys)]
    if len(repeated):
        raise FormatError(f"{path}: {'_'.join(repeated[keys].iloc[0])} may stand once; it stands again")
    asked = pd.MultiIndex.from_arrays([getattr(truth, key).astype(str) for key in keys])
    place = pd.MultiIndex.from_frame(table[keys]).get_indexer(asked)
    if (place < 0).all():
        raise FormatError(f"{path} has none of the {len(truth):,} rows that are scored, by {' and '.join(keys)}")
    found, left_out = [], {}
    for name in columns:
        cells = np.where(place < 0, "", table[name].to_numpy(object)[place]).astype(str)
        left_out[name] = int((cells == "").sum())
        for value, of in _levels(cells):
            result = measure(rows.take(of), rng=rng, n_resamples=n_resamples)
            found.append(Stratum(name, value, result))
    return Strata(tuple(found), left_out)


def _levels(cells: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Each stratum's name and rows, shape (n,), bool."""
    given = cells != ""
    values = pd.to_numeric(pd.Series(cells[given]), errors="coerce").to_numpy(np.float64)
    different = sorted(set(cells[given]))
    if not len(values) or np.isnan(values).any() or len(different) <= MAX_LEVELS:
        if len(values) and not np.isnan(values).any():
            different.sort(key=float)
        return [(value, cells == value) for value in different]
    bins = np.full(len(cells), -1)
    bins[given] = quantile_bins(values, QUARTERS)
    number = np.full(len(cells), np.nan)
    number[given] = values
    ranges = []
    for k in range(int(bins.max()) + 1):
        of = bins == k
        ranges.append((f"{number[of].min():.4g} … {number[of].max():.4g}", of))
    return ranges
