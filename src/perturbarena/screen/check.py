"""A look at a screen before hours of compute: what is in it, and in words what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from perturbarena.errors import InputError
from perturbarena.screen.counts import total_counts
from perturbarena.screen.findings import Finding, findings_of
from perturbarena.screen.guides import NONE, SEVERAL, SINGLE, Assignment, assignment_from
from perturbarena.screen.parts import Parts, open_parts, parts_of
from perturbarena.screen.pseudobulk import GuideAgreement, Knockdown, guide_agreement, knockdowns
from perturbarena.screen.read import (
    Columns,
    Screen,
    batches_without_controls,
    screen_of,
    sounds_like_control,
    texts,
)

if TYPE_CHECKING:
    from anndata import AnnData

LIKELY_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "perturbation": (
        "perturbation",
        "pert",
        "target_gene",
        "gene_target",
        "target",
        "perturbed_gene",
        "condition",
    ),
    "guide": ("guide", "guide_id", "guide_identity", "grna", "sgrna", "sgrna_id", "grna_id"),
    "batch": ("batch", "lane", "gem_group", "gemgroup", "replicate", "rep", "channel", "library"),
    "guide_counts": ("guide_umi", "guide_counts", "guide", "guides", "grna", "sgrna", "crispr", "gdo"),
}
"""Names under which a column, or a matrix of guide counts, is looked for where none is given."""

MIN_CELLS: Final = 25
"""A perturbation with fewer cells is pointed at."""


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """One batch: its cells, and quartiles (25, 50, 75 %) of UMIs and of genes per cell."""

    batch: str
    n_cells: int
    n_controls: int
    n_perturbations: int
    umis: tuple[float, float, float]
    genes: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PerturbationSummary:
    """One perturbation: cells, guides, batches, and how its cells differ from controls as a whole.

    ``batch_distance`` is half the summed difference of its and the controls' shares over batches: 0 for equal
    shares, 1 where they share no batch. ``depth_ratio`` is the ratio of median UMIs to controls'.
    """

    perturbation: str
    n_cells: int
    n_guides: int | None
    n_batches: int
    batch_distance: float
    depth_ratio: float


@dataclass(frozen=True, slots=True)
class GuideCounts:
    """What the guide counts say, over all cells of the file.

    ``per_cell``: how many cells hold 0, 1, 2, 3, 4 and 5 or more guides with enough UMIs. ``n_relabelled`` of
    ``n_compared`` cells with one guide by the counts have another under the guide column.
    """

    key: str
    per_cell: tuple[int, ...]
    n_single: int
    n_several: int
    n_none: int
    n_compared: int
    n_relabelled: int


@dataclass(frozen=True, slots=True)
class ScreenCheck:
    """Everything that was looked at. ``columns`` says which columns were used, ``guessed`` which nobody named."""

    source: str
    columns: Columns
    guessed: tuple[str, ...]
    n_cells: int
    n_genes: int
    n_controls: int
    n_control_guides: int | None
    largest_count: int
    dropped: Mapping[str, int]
    batches: tuple[BatchSummary, ...]
    perturbations: tuple[PerturbationSummary, ...]
    confounded: Mapping[str, Sequence[str]]
    split_guides: Mapping[str, Sequence[str]]
    guide_counts: GuideCounts | None
    knockdowns: tuple[Knockdown, ...]
    guides: tuple[GuideAgreement, ...]
    n_empty_cells: int
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; notes do not count."""
        return all(finding.level != "wrong" for finding in self.findings)


def check_screen(
    screen: AnnData | Path | str,
    *,
    perturbation: str | None = None,
    control: str | None = None,
    batch: str | None = None,
    guide: str | None = None,
    size_factors: str | None = None,
    layer: str | None = None,
    guide_counts: str | None = None,
    min_cells: int = MIN_CELLS,
) -> ScreenCheck:
    """Look at a screen. Options as :func:`from_anndata`; columns that are not named are looked for.

    A matrix of guide counts that was found is reported; one that is named also leaves out the cells that hold no
    guide or several, as it does when effects are estimated.

    Raises
    ------
    InputError
        If the screen cannot be used at all, as :func:`from_anndata` says; or if no column tells what was done to a
        cell.
    """
    given = Columns(perturbation, control or "", batch, guide, size_factors, layer, guide_counts)
    if isinstance(screen, Path | str):
        with open_parts(screen) as parts:
            return _check(parts, given, str(screen), min_cells)
    return _check(parts_of(screen), given, "AnnData", min_cells)


def _check(parts: Parts, given: Columns, source: str, min_cells: int) -> ScreenCheck:
    columns, guessed, key = _complete(parts, given, source)
    screen = screen_of(parts, columns, source)
    assignment = None if key is None else assignment_from(parts, key, source=source)
    counts = None
    if assignment is not None and key is not None:
        labels = None if columns.guide is None else texts(parts.obs[columns.guide])
        counts = _guide_counts(key, assignment, labels)
    umis = total_counts(screen.counts)
    controls = screen.is_control
    guides = None if screen.guide is None else screen.guide[controls]
    record = ScreenCheck(
        source=source,
        columns=columns,
        guessed=guessed,
        n_cells=len(screen.perturbation),
        n_genes=len(screen.genes),
        n_controls=int(controls.sum()),
        n_control_guides=None if guides is None else len(set(guides) - {""}),
        largest_count=int(screen.counts.max()) if screen.counts.nnz else 0,
        dropped=screen.dropped,
        batches=_batches(screen, umis),
        perturbations=_perturbations(screen, umis),
        confounded=batches_without_controls(screen.perturbation, screen.batch, screen.control),
        split_guides=_split_guides(screen),
        guide_counts=counts,
        knockdowns=tuple(knockdowns(screen)),
        guides=tuple(guide_agreement(screen)),
        n_empty_cells=int((umis == 0).sum()),
    )
    return replace(record, findings=findings_of(record, min_cells=min_cells))


def _complete(parts: Parts, given: Columns, source: str) -> tuple[Columns, tuple[str, ...], str | None]:
    """The columns to use, those that were found rather than given, and the matrix of guide counts."""
    there = {str(name).lower(): str(name) for name in reversed(parts.obs.columns)}
    found = {
        option: next((there[name] for name in LIKELY_COLUMNS[option] if name in there), None)
        for option in ("perturbation", "guide", "batch")
        if getattr(given, option) is None
    }
    keys = {name.lower(): name for name in reversed(parts.obsm_keys)}
    key = given.guide_counts or next((keys[name] for name in LIKELY_COLUMNS["guide_counts"] if name in keys), None)
    columns = given._replace(**found)
    if columns.perturbation is None and columns.guide is None:
        if key is None:
            names = ", ".join(map(str, parts.obs.columns)) or "no columns"
            raise InputError(
                f"{source}: nothing tells what was done to a cell: obs has {names}, obsm has "
                f"{', '.join(parts.obsm_keys) or 'nothing'}; name a column with the perturbed gene "
                "(--perturbation), one with guides (--guide), or a matrix of guide counts (--guide-counts)"
            )
        columns = columns._replace(guide_counts=key)
    guessed = [option for option, name in found.items() if name is not None]
    if not given.control:
        columns = columns._replace(control=_likely_control(parts, columns))
        guessed.append("control")
    if key is not None and given.guide_counts is None:
        guessed.append("guide_counts")
    return columns, tuple(guessed), key


def _likely_control(parts: Parts, columns: Columns) -> str:
    """The most frequent label that sounds like one of controls; "control" where labels come from guides' names."""
    if columns.perturbation is None or columns.perturbation not in parts.obs.columns:
        return "control"
    labels = pd.Series(texts(parts.obs[columns.perturbation])).value_counts()
    names = [str(name) for name in labels.index]
    sound = [name for name in names if sounds_like_control(name)]
    return sound[0] if sound else "control"


def _guide_counts(key: str, assignment: Assignment, labels: np.ndarray | None) -> GuideCounts:
    tally = np.bincount(np.minimum(assignment.n_guides, 5), minlength=6)
    status = np.bincount(assignment.status, minlength=3)
    compared = relabelled = 0
    if labels is not None and set(labels) & set(assignment.guide) - {""}:  # the two speak of the same names
        both = (assignment.status == SINGLE) & np.isin(labels, list(set(assignment.top)))
        compared = int(both.sum())
        relabelled = int((assignment.guide[both] != labels[both]).sum())
    return GuideCounts(
        key=key,
        per_cell=tuple(tally.tolist()),
        n_single=int(status[SINGLE]),
        n_several=int(status[SEVERAL]),
        n_none=int(status[NONE]),
        n_compared=compared,
        n_relabelled=relabelled,
    )


def _batches(screen: Screen, umis: np.ndarray) -> tuple[BatchSummary, ...]:
    genes = np.diff(screen.counts.indptr)
    summaries = []
    for name in sorted(set(screen.batch)):
        rows = screen.batch == name
        summaries.append(
            BatchSummary(
                batch=name,
                n_cells=int(rows.sum()),
                n_controls=int((rows & screen.is_control).sum()),
                n_perturbations=len(set(screen.perturbation[rows]) - {screen.control}),
                umis=_quartiles(umis[rows]),
                genes=_quartiles(genes[rows]),
            )
        )
    return tuple(summaries)


def _quartiles(values: np.ndarray) -> tuple[float, float, float]:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return float(low), float(middle), float(high)


def _perturbations(screen: Screen, umis: np.ndarray) -> tuple[PerturbationSummary, ...]:
    cells = pd.DataFrame({"perturbation": screen.perturbation, "batch": screen.batch, "umis": umis})
    table = pd.crosstab(cells["perturbation"], cells["batch"])
    share = table.div(table.sum(axis=1), axis=0)
    distance = (share - share.loc[screen.control]).abs().sum(axis=1) / 2.0
    depth = cells.groupby("perturbation")["umis"].median()
    usual = float(depth[screen.control])
    guides = None
    if screen.guide is not None:
        labelled = cells.assign(guide=screen.guide)[screen.guide != ""]
        guides = labelled.groupby("perturbation")["guide"].nunique()
    return tuple(
        PerturbationSummary(
            perturbation=str(name),
            n_cells=int(table.loc[name].sum()),
            n_guides=None if guides is None else int(guides.get(name, 0)),
            n_batches=int((table.loc[name] > 0).sum()),
            batch_distance=float(distance[name]),
            depth_ratio=float(depth[name]) / usual if usual > 0 else float("nan"),
        )
        for name in table.index
        if name != screen.control
    )


def _split_guides(screen: Screen) -> dict[str, list[str]]:
    """Guides that stand under more than one perturbation."""
    if screen.guide is None:
        return {}
    pairs = pd.DataFrame({"guide": screen.guide, "perturbation": screen.perturbation})
    pairs = pairs[screen.guide != ""].drop_duplicates()
    several = pairs[pairs.duplicated("guide", keep=False)]
    return {str(guide): sorted(rows["perturbation"]) for guide, rows in several.groupby("guide", sort=True)}
