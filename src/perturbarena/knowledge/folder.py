"""A knowledge folder, a features table, single cells: whatever there is, as feature blocks.

A folder need not be complete. What it has is used, what it lacks is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perturbarena.errors import FormatError, InputError
from perturbarena.knowledge.coexpression import coexpression_features
from perturbarena.knowledge.expression import expression_features
from perturbarena.knowledge.features import GeneFeatures, read_features
from perturbarena.knowledge.gene_sets import gene_set_features

EXPRESSION: Final = "expression_refs/mouse_*.tsv.gz"
GENE_SETS: Final = "msigdb_mouse_*/*.gmt.gz"


@dataclass(frozen=True, slots=True)
class FeatureBlocks:
    """The blocks that were found, and a note in words on each that was not."""

    blocks: tuple[GeneFeatures, ...]
    notes: tuple[str, ...]


def load_features(
    *, knowledge: Path | None = None, features: Path | None = None, coexpression: Path | None = None
) -> FeatureBlocks:
    """Feature blocks from a knowledge folder, a table of features, and single cells; at least one of them.

    Parameters
    ----------
    knowledge
        Folder with ``expression_refs/mouse_….tsv.gz`` and ``msigdb_mouse_…/….gmt.gz``.
    features
        Table, see :func:`perturbarena.knowledge.features.read_features`.
    coexpression
        h5ad file, see :func:`perturbarena.knowledge.coexpression.coexpression_features`.

    Raises
    ------
    FormatError
        If the folder is missing or has none of these files, or a file cannot be read.
    InputError
        If nothing is given.
    """
    if knowledge is None and features is None and coexpression is None:
        raise InputError("gene features are needed: --knowledge DIR, --features TABLE or --coexpression CELLS")
    blocks: list[GeneFeatures] = []
    notes: list[str] = []
    if knowledge is not None:
        found = _read_folder(knowledge)
        blocks += found.blocks
        notes += found.notes
    if features is not None:
        blocks.append(read_features(features))
    if coexpression is not None:
        blocks.append(coexpression_features(coexpression))
    return FeatureBlocks(tuple(blocks), tuple(notes))


def _read_folder(folder: Path) -> FeatureBlocks:
    if not folder.is_dir():
        raise FormatError(f"no such knowledge folder: {folder}")
    tables, sets = sorted(folder.glob(EXPRESSION)), sorted(folder.glob(GENE_SETS))
    if not tables and not sets:
        raise FormatError(f"{folder} is no knowledge folder: it has neither {EXPRESSION} nor {GENE_SETS}")
    if len(tables) > 1:
        raise FormatError(f"{folder} must have one {EXPRESSION}; it has {', '.join(t.name for t in tables)}")
    notes = [f"no {what} in {folder}" for what, found in ((EXPRESSION, tables), (GENE_SETS, sets)) if not found]
    blocks = [expression_features(table) for table in tables]
    if sets:
        blocks.append(gene_set_features(sets))
    return FeatureBlocks(tuple(blocks), tuple(notes))
