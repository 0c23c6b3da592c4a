"""Effect table → volcano plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from perturbarena.challenge.words import counted
from perturbarena.errors import InputError
from perturbarena.report import VolcanoPanel, draw_volcanoes
from perturbarena.stats.fdr import moved_genes

if TYPE_CHECKING:
    from anndata import AnnData

MOST: Final = 12
"""Perturbations shown when none are named: those that move most genes."""
NAMED: Final = 6
"""Genes that carry their names in a panel."""
STRONGEST: Final = 300.0
"""−log10 FDR is cut here: smaller values are zero in float64."""


def volcano_figure(
    path: Path | str, table: AnnData, *, perturbations: Sequence[str] | None = None, title: str
) -> None:
    """Draw shrunken fold changes against FDR; genes that would be labelled as moved stand out.

    Raises
    ------
    InputError
        If a perturbation is not in the table or was not estimated, or the file's suffix is unknown.
    """
    fdr: np.ndarray = np.asarray(table.layers["fdr"])
    log2fc: np.ndarray = np.asarray(table.layers["log2fc_shrunk"])
    moved = moved_genes(fdr, log2fc)
    names = [str(name) for name in table.obs_names]
    estimated = ~np.isnan(fdr[:, 0])
    if perturbations is None:
        order = np.argsort(-moved.sum(axis=1), kind="stable")
        perturbations = [names[i] for i in order if estimated[i]][:MOST]
    panels = []
    for name in perturbations:
        if name not in names or not estimated[names.index(name)]:
            raise InputError(f"the effect table has no estimates for {name!r}")
        row = names.index(name)
        strength = np.minimum(-np.log10(np.maximum(fdr[row], 1e-320)), STRONGEST)
        strongest = [g for g in np.argsort(-strength, kind="stable").tolist() if moved[row, g]][:NAMED]
        labels = [(str(table.var_names[g]), float(log2fc[row, g]), float(strength[g])) for g in strongest]
        n = int(moved[row].sum())
        heading = f"{name}: {counted(n, 'gene')}"
        panels.append(VolcanoPanel(heading, log2fc[row], strength, moved[row], labels))
    draw_volcanoes(path, panels=panels, title=title)
