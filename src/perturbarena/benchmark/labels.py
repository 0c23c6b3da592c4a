"""Effects → labels: which pairs of a perturbation and a gene can be asked, and their answers.

A pair is asked only where the answer is clear: moved by FDR and fold change, or plainly unchanged. What lies
between is ambiguous and never asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from perturbarena.challenge.records import DOWN, NONE, UP
from perturbarena.challenge.words import counted
from perturbarena.errors import InputError
from perturbarena.stats.fdr import MAX_FDR, MIN_ABS_LOG2FC, moved_genes

CALL_UP: Final = 1
CALL_DOWN: Final = -1
CALL_NONE: Final = 0
NOT_ASKED: Final = 2
"""Codes of :attr:`Labels.call`."""
NAME_OF: Final = {CALL_UP: UP, CALL_DOWN: DOWN, CALL_NONE: NONE}


class LabelSettings(BaseModel):
    """When a gene counts as moved, as unchanged, and as worth asking about."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    max_fdr: Annotated[float, Field(gt=0.0, lt=1.0)] = MAX_FDR
    """A gene moves only below this FDR."""
    min_abs_log2fc: Annotated[float, Field(ge=0.0, le=10.0)] = MIN_ABS_LOG2FC
    """A gene moves only at or above this shrunken |log2 fold change|."""
    max_abs_log2fc_none: Annotated[float, Field(gt=0.0, le=10.0)] = 0.25
    """A gene is unchanged only below this shrunken |log2 fold change|, and not significant."""
    min_share_of_control_cells: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """Expression floor: genes seen in fewer control cells are never asked."""
    min_degs: Annotated[int, Field(ge=1)] = 9
    """Perturbations that move fewer genes are left out."""
    ask_self: bool = False
    """Whether the perturbed gene itself may be a question."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What labels are made of: P perturbations × G genes.

    ``log2fc`` (P, G) are shrunken log2 fold changes, ``fdr`` (P, G); both NaN where nothing was estimated.
    ``share_of_control_cells`` (G,): control cells with a count. ``perturbations`` (P,), ``genes`` (G,): names.
    """

    perturbations: np.ndarray
    genes: np.ndarray
    log2fc: np.ndarray
    fdr: np.ndarray
    share_of_control_cells: np.ndarray


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels of K kept perturbations × A answerable genes.

    ``call`` (K, A) int8 holds CALL_UP, CALL_DOWN, CALL_NONE or NOT_ASKED; ``log2fc`` (shrunken) and ``fdr`` (K, A)
    come along for sampling and figures. ``left_out``: reason of each perturbation that is not asked.
    """

    perturbations: np.ndarray
    genes: np.ndarray
    call: np.ndarray
    log2fc: np.ndarray
    fdr: np.ndarray
    left_out: dict[str, str]

    @property
    def moved(self) -> np.ndarray:
        """Up or down, (K, A) bool."""
        return np.abs(self.call) == 1

    def block(self, pert: np.ndarray, gene: np.ndarray) -> Labels:
        """The labels of some perturbations and genes (positions or masks of either axis)."""
        cut = [array[pert][:, gene] for array in (self.call, self.log2fc, self.fdr)]
        return Labels(self.perturbations[pert], self.genes[gene], *cut, left_out={})


def label_effects(effects: Effects, settings: LabelSettings | None = None) -> Labels:
    """Label every pair.

    Raises
    ------
    InputError
        If a name stands twice, no gene is expressed enough, or every perturbation is too weak.
    """
    settings = settings or LabelSettings()
    _check_names(effects)
    expressed = effects.share_of_control_cells >= settings.min_share_of_control_cells
    if not expressed.any():
        raise InputError(
            f"no gene is seen in {settings.min_share_of_control_cells:.1%} of control cells; the most is "
            f"{np.max(effects.share_of_control_cells, initial=0):.1%}: lower min_share_of_control_cells"
        )
    genes, log2fc, fdr = effects.genes[expressed], effects.log2fc[:, expressed], effects.fdr[:, expressed]
    call = call_effects(log2fc, fdr, settings)
    if not settings.ask_self:
        call[effects.perturbations[:, None] == genes[None, :]] = NOT_ASKED
    n_moved = (np.abs(call) == 1).sum(axis=1)
    kept = n_moved >= settings.min_degs
    if not kept.any():
        strongest = int(np.argmax(n_moved))
        raise InputError(
            f"no perturbation moves {counted(settings.min_degs, 'gene')}; the strongest, "
            f"{effects.perturbations[strongest]}, moves {n_moved[strongest]}: "
            "more cells a perturbation, or a lower min_degs, are needed"
        )
    left_out = {
        str(name): _reason(n, settings.min_degs) if np.isfinite(row).any() else "not estimated"
        for name, n, row in zip(effects.perturbations[~kept], n_moved[~kept], fdr[~kept], strict=True)
    }
    return Labels(effects.perturbations[kept], genes, call[kept], log2fc[kept], fdr[kept], left_out)


def _reason(n_moved: int, least: int) -> str:
    return f"{counted(n_moved, 'moved gene')}, fewer than {least}"


def call_effects(log2fc: np.ndarray, fdr: np.ndarray, settings: LabelSettings) -> np.ndarray:
    """Codes of pairs by FDR and shrunken log2 fold change alone, of their shape, int8; NaN is NOT_ASKED."""
    call = np.full(log2fc.shape, NOT_ASKED, np.int8)
    call[(fdr >= settings.max_fdr) & (np.abs(log2fc) < settings.max_abs_log2fc_none)] = CALL_NONE
    moved = moved_genes(fdr, log2fc, max_fdr=settings.max_fdr, min_abs_log2fc=settings.min_abs_log2fc)
    call[moved & (log2fc > 0)] = CALL_UP
    call[moved & (log2fc < 0)] = CALL_DOWN
    return call


def _check_names(effects: Effects) -> None:
    for what, names in (("perturbation", effects.perturbations), ("gene", effects.genes)):
        unique, counts = np.unique(names.astype(str), return_counts=True)
        if (counts > 1).any():
            raise InputError(f"every {what} needs a name of its own; {unique[counts > 1][0]} stands twice")
