"""A Perturb-seq screen from an AnnData file or object: counts, and what was done to each cell.

This is the one place where a screen is refused. What comes out has raw counts, control cells, one label per
cell and unique genes, so that nothing later needs to ask again.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp

from perturbarena.errors import FormatError, InputError
from perturbarena.screen import counts as raw_counts
from perturbarena.screen.guides import (
    CONTROL_NAME,
    NONE,
    SEVERAL,
    SINGLE,
    Assignment,
    assignment_from,
    perturbation_of_guides,
)
from perturbarena.screen.parts import Parts, open_parts, parts_of

if TYPE_CHECKING:
    from anndata import AnnData

ONE_BATCH: Final = "all"
"""The batch of every cell where no batch column is given."""

NOT_A_PERTURBATION: Final = frozenset(
    {"", "nan", "none", "<na>", "unassigned", "unknown", "ambiguous", "multiple", "multiplet", "doublet"}
)
"""Labels, in lower case, of cells that nobody could assign; such cells are left out and counted."""

NO_LABEL: Final = "(blank)"
NO_GUIDE: Final = "(no guide)"
SEVERAL_GUIDES: Final = "(several guides)"
"""Under these, cells are counted that have no label, or that guide counts leave out."""

CONTROL_WORDS: Final = r"(?i)targeting|control|ctrl|scrambl|unperturbed|^wt$|^wild[-_ ]?type$"
"""In labels of control cells, besides the names of control guides; for naming a likely value in a message."""

LISTED: Final = 8
"""How many columns or values a message lists."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Counts of a Perturb-seq screen with what was done to each cell.

    n cells × G genes. ``counts`` are non-negative integers held in any numeric type, CSR without stored zeros; it
    may be the caller's own matrix and must not be written to. Control cells hold ``control`` under
    ``perturbation``. ``batch`` is ``ONE_BATCH`` throughout where no batch column was given. ``guide`` is ``""``
    for a cell without one. ``size_factor`` is as read from ``obs``, not rescaled. ``row`` says where each cell
    stands in the source, ``dropped`` how many cells were left out under which label, ``source`` names the screen
    in messages, ``file`` says how another process reads it again.
    """

    counts: sp.csr_matrix
    genes: np.ndarray
    perturbation: np.ndarray
    control: str
    batch: np.ndarray
    guide: np.ndarray | None = None
    size_factor: np.ndarray | None = None
    source: str = "screen"
    row: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    dropped: Mapping[str, int] = field(default_factory=dict)
    file: ScreenFile | None = None

    @property
    def is_control(self) -> np.ndarray:
        """Which cells are controls, shape (n,), bool."""
        return self.perturbation == self.control


def read_screen(
    path: Path | str,
    *,
    perturbation: str | None,
    control: str,
    batch: str | None = None,
    guide: str | None = None,
    size_factors: str | None = None,
    layer: str | None = None,
    guide_counts: str | None = None,
) -> Screen:
    """A screen from ``.h5ad`` or ``.zarr``, of which only needed parts are read. Options: :func:`from_anndata`.

    Raises
    ------
    FormatError
        If the file is missing or no AnnData, or as :func:`from_anndata`.
    MissingExtraError
        If anndata is not installed.
    """
    columns = Columns(perturbation, control, batch, guide, size_factors, layer, guide_counts)
    return ScreenFile(str(path), columns).read()


def from_anndata(
    adata: AnnData,
    *,
    perturbation: str | None,
    control: str,
    batch: str | None = None,
    guide: str | None = None,
    size_factors: str | None = None,
    layer: str | None = None,
    guide_counts: str | None = None,
    source: str = "AnnData",
) -> Screen:
    """A screen from an AnnData, in memory or backed, sparse or dense.

    Parameters
    ----------
    perturbation, control
        The column of ``obs`` that says what was done to a cell, and what it says of control cells. None: it is
        told from the names of the guides, those of controls becoming ``control``.
    batch, guide, size_factors
        Further columns of ``obs``.
    layer
        The layer with raw counts; X where None; ``raw`` means ``adata.raw`` unless a layer has that name.
    guide_counts
        A matrix of guide counts in ``obsm``: cells that hold no guide or several are left out, and guides come
        from it where ``guide`` is None.

    Raises
    ------
    FormatError
        If a column or layer is missing, values are no raw counts, a gene's name stands twice, a size factor is
        not a positive number, or a cell has no batch.
    InputError
        If there are no control cells, nothing but control cells, or controls share no batch with any perturbation.
    """
    columns = Columns(perturbation, control, batch, guide, size_factors, layer, guide_counts)
    return screen_of(parts_of(adata), columns, source)


def batches_without_controls(perturbation: np.ndarray, batch: np.ndarray, control: str) -> dict[str, list[str]]:
    """Perturbations confounded with the batch: all their cells lie in batches without control cells.

    Returns each such perturbation with its batches. Nothing tells its effect from its batches' effect.
    """
    controlled = set(batch[perturbation == control])
    table = pd.DataFrame({"perturbation": perturbation, "batch": batch}).drop_duplicates()
    confounded = {}
    for name, rows in table.groupby("perturbation", sort=True):
        batches = set(rows["batch"])
        if name != control and not batches & controlled:
            confounded[str(name)] = sorted(batches)
    return confounded


class Columns(NamedTuple):
    """Which columns, layer and guide counts make a screen, and what control cells are called."""

    perturbation: str | None
    control: str
    batch: str | None
    guide: str | None
    size_factors: str | None
    layer: str | None
    guide_counts: str | None


class ScreenFile(NamedTuple):
    """A screen's file and how it is read: what another process needs to read the same screen."""

    path: str
    columns: Columns

    def read(self) -> Screen:
        """The screen."""
        with open_parts(self.path) as parts:
            screen = screen_of(parts, self.columns, self.path)
        return replace(screen, file=self._replace(path=str(Path(self.path).absolute())))


def screen_of(parts: Parts, columns: Columns, source: str) -> Screen:
    """The screen that :func:`from_anndata` describes, from an AnnData's parts."""
    control = str(columns.control)
    for option in ("perturbation", "batch", "guide", "size_factors"):
        if (name := getattr(columns, option)) is not None:
            require_column(parts.obs, name, option=option.replace("_", "-"), source=source)
    genes = _genes(parts, columns.layer, source)
    assignment = (
        None if columns.guide_counts is None else assignment_from(parts, columns.guide_counts, source=source)
    )
    guide = _guides(parts, columns, assignment)
    labels, called = _labels(parts, columns, guide, source)
    single = np.ones(len(labels), bool) if assignment is None else assignment.status == SINGLE
    keep = _assigned(labels, control) & single
    dropped = Counter(label or NO_LABEL for label in labels[single & ~keep])
    if assignment is not None:
        words = {NO_GUIDE: NONE, SEVERAL_GUIDES: SEVERAL}
        dropped += Counter({word: int((assignment.status == status).sum()) for word, status in words.items()})
    kept = labels[keep]
    _require_controls(kept, control, called, source)
    batches = np.full(len(kept), ONE_BATCH, object)
    if columns.batch is not None:
        batches = texts(parts.obs[columns.batch])[keep]
        _require_batches(kept, batches, control, columns.batch, source)
    factor = None if columns.size_factors is None else _positive(parts.obs[columns.size_factors], keep, source)
    return Screen(
        counts=_counts(parts, columns.layer, keep, source),
        genes=genes,
        perturbation=kept,
        control=control,
        batch=batches,
        guide=None if guide is None else guide[keep],
        size_factor=factor,
        source=source,
        row=np.flatnonzero(keep),
        dropped=dict(sorted(dropped.items())),
    )


def _guides(parts: Parts, columns: Columns, assignment: Assignment | None) -> np.ndarray | None:
    if columns.guide is not None:
        return texts(parts.obs[columns.guide])
    return None if assignment is None else assignment.guide


def _labels(parts: Parts, columns: Columns, guide: np.ndarray | None, source: str) -> tuple[np.ndarray, str]:
    """What was done to each cell, and where that was read."""
    if columns.perturbation is not None:
        return texts(parts.obs[columns.perturbation]), columns.perturbation
    if guide is None:
        raise InputError(
            f"{source}: what was done to a cell must be named: a column of obs (--perturbation), or one with "
            "guides (--guide), or guide counts (--guide-counts)"
        )
    real = np.array([name if name.lower() not in NOT_A_PERTURBATION else "" for name in guide], object)
    return perturbation_of_guides(real, control=str(columns.control)), columns.guide or str(columns.guide_counts)


def texts(column: pd.Series) -> np.ndarray:
    """A column as text, shape (n,), object; missing values are ``""``."""
    codes, values = pd.factorize(column)
    shared = np.array([*(str(value).strip() for value in values), ""], object)
    return shared[codes]  # code −1, a missing value, takes the last


def _assigned(labels: np.ndarray, control: str) -> np.ndarray:
    codes, values = pd.factorize(labels)
    real = np.array([value == control or value.lower() not in NOT_A_PERTURBATION for value in values], bool)
    return real[codes]


def require_column(obs: pd.DataFrame, name: str, *, option: str, source: str) -> None:
    """FormatError with the columns there are, and a likely one, where ``obs`` lacks ``name``."""
    if name in obs.columns:
        return
    if not len(obs.columns):
        raise FormatError(f"{source}: obs has no column {name!r} (--{option}); it has no columns at all")
    columns = [str(column) for column in obs.columns]
    raise FormatError(
        f"{source}: obs has no column {name!r} (--{option}); it has {_list(columns)}{_likely(name, columns)}"
    )


def _list(values: Sequence[str]) -> str:
    more = f" and {len(values) - LISTED:,} more" if len(values) > LISTED else ""
    return ", ".join(values[:LISTED]) + more


def _likely(name: str, values: Sequence[str]) -> str:
    lower = {value.lower(): value for value in reversed(values)}
    close = difflib.get_close_matches(name.lower(), list(lower), n=1)
    return f"; did you mean {lower[close[0]]!r}?" if close else ""


def _genes(parts: Parts, layer: str | None, source: str) -> np.ndarray:
    if layer is not None and layer not in parts.layers:
        there = f"it has {_list(parts.layers)}" if parts.layers else "it has none"
        raise FormatError(
            f"{source}: there is no layer {layer!r} (--layer); {there}{_likely(layer, parts.layers)}"
        )
    genes = parts.genes(layer)
    names, tally = np.unique(genes.astype(str), return_counts=True)
    twice = names[tally > 1]
    if len(twice):
        raise FormatError(
            f"{source}: gene names must be unique; {len(twice):,} stand more than once ({_list(twice.tolist())}); "
            "sum or rename them first, as by AnnData.var_names_make_unique()"
        )
    return genes


def sounds_like_control(name: str) -> bool:
    """Whether a label is one of those that control cells usually have."""
    return re.search(CONTROL_NAME, name) is not None or re.search(CONTROL_WORDS, name) is not None


def _require_controls(labels: np.ndarray, control: str, column: str, source: str) -> None:
    names, tally = np.unique(labels.astype(str), return_counts=True)
    if control in names:
        if len(names) == 1:
            raise InputError(f"{source}: every cell is {control!r} under {column!r}; perturbed cells are needed")
        return
    if not len(names):
        raise InputError(f"{source}: no cell has a label under {column!r}; perturbed and control cells are needed")
    by_number = [str(name) for name in names[np.argsort(-tally, kind="stable")]]
    likely = _likely(control, by_number)
    if not likely:
        called = [name for name in by_number if sounds_like_control(name)]
        likely = f"; did you mean {called[0]!r}?" if called else ""
    raise InputError(
        f"{source}: control cells are needed, and no cell is {control!r} (--control) under {column!r}; "
        f"the values there are {_list(by_number)}{likely}"
    )


def _require_batches(labels: np.ndarray, batches: np.ndarray, control: str, column: str, source: str) -> None:
    if (blank := int((batches == "").sum())) > 0:
        raise FormatError(f"{source}: every cell needs a batch; {blank:,} have none under {column!r} (--batch)")
    confounded = batches_without_controls(labels, batches, control)
    if len(confounded) == len(set(labels)) - 1:
        with_controls = sorted(set(batches[labels == control]))
        raise InputError(
            f"{source}: batch and perturbation are confounded: the {control!r} cells lie in "
            f"{column} {_list(with_controls)}, where no perturbed cell lies, so no effect can be told from the "
            "batch's; controls are needed in the batches of the perturbed cells (or leave --batch out)"
        )


def _positive(column: pd.Series, keep: np.ndarray, source: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)[keep]
    wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
    if len(wrong):
        cell = np.flatnonzero(keep)[wrong[0]]
        raise FormatError(
            f"{source}: size factors (--size-factors {column.name}) must be positive numbers; {len(wrong):,} are "
            f"not, such as {column.iloc[cell]!r} (cell {column.index[cell]})"
        )
    return values


def _counts(parts: Parts, layer: str | None, keep: np.ndarray, source: str) -> sp.csr_matrix:
    matrix = parts.matrix(layer)
    where = f"{'X' if layer is None else f'layer {layer!r}'} of {source}"
    if matrix is None:
        there = f"; it has the layers {_list(parts.layers)} (--layer)" if parts.layers else ""
        raise FormatError(f"{where} is not there; raw counts are needed{there}")
    try:
        return raw_counts.to_csr(matrix, keep=keep, where=where)
    except FormatError as error:
        better = [name for name in parts.layers if name != layer and raw_counts.looks_raw(parts.matrix(name))]
        if layer is not None and raw_counts.looks_raw(parts.matrix(None)):
            raise FormatError(f"{error}: X holds them, leave --layer out") from error
        advice = (
            f"layer {better[0]!r} holds them, pass --layer {better[0]}"
            if better
            else "no other matrix of it holds them, so go back to the counts that came from the aligner"
        )
        raise FormatError(f"{error}: {advice}") from error
