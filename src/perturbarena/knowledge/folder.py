"""A knowledge folder, a features table, single cells: whatever there is, as feature blocks.

A folder need not be complete. What it has is used, what it lacks is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from perturbarena.errors import FormatError, InputError
from perturbarena.knowledge.coexpression import cell_features
from perturbarena.knowledge.collection import GeneSetCollection, annotation_features, read_collection
from perturbarena.knowledge.elsewhere import PairTable, read_elsewhere
from perturbarena.knowledge.expression import expression_features
from perturbarena.knowledge.features import GeneFeatures, read_features
from perturbarena.knowledge.gene_sets import gene_set_features
from perturbarena.knowledge.orthologs import read_orthologs
from perturbarena.knowledge.paths import PathTable

EXPRESSION: Final = "expression_refs/mouse_*.tsv.gz"
GENE_SETS: Final = "msigdb_mouse_*/*.gmt.gz"
ORTHOLOGS: Final = "orthologs/babelgene_hcop_human_mouse.tsv.gz"

Block: TypeAlias = GeneFeatures | GeneSetCollection | PairTable | PathTable
"""A table of genes, a collection of gene sets, or a table of pairs."""
PAIR_BLOCKS: Final = (PairTable, PathTable)
"""Blocks that say nothing of a gene alone."""


@dataclass(frozen=True, slots=True)
class FeatureBlocks:
    """The blocks that were found, and a note in words on each that was not."""

    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


def load_features(
    *,
    knowledge: Path | None = None,
    features: Path | None = None,
    coexpression: Path | None = None,
    elsewhere: Path | None = None,
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
    elsewhere
        PerturbQA's tables, read by the orthologues in the knowledge folder, which is then needed; see
        :func:`perturbarena.knowledge.elsewhere.read_elsewhere`.

    Raises
    ------
    FormatError
        If the folder is missing or has none of these files, or a file cannot be read.
    InputError
        If nothing is given, or ``elsewhere`` without ``knowledge``.
    """
    if knowledge is None and features is None and coexpression is None:
        raise InputError("gene features are needed: --knowledge DIR, --features TABLE or --coexpression CELLS")
    if elsewhere is not None and knowledge is None:
        raise InputError(f"reading {elsewhere} needs orthologues: --knowledge DIR with {ORTHOLOGS}")
    blocks: list[Block] = []
    notes: list[str] = []
    if knowledge is not None:
        found = _read_folder(knowledge)
        blocks += found.blocks
        notes += found.notes
    if features is not None:
        blocks.append(read_features(features))
    if coexpression is not None:
        blocks += cell_features(coexpression)
    if elsewhere is not None and knowledge is not None:
        blocks += read_elsewhere(elsewhere, read_orthologs(knowledge / ORTHOLOGS))
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
    blocks: list[Block] = [expression_features(table) for table in tables]
    if sets:
        collections = [read_collection(path) for path in sets]
        blocks += [gene_set_features(sets), annotation_features(collections), *collections]
    return FeatureBlocks(tuple(blocks), tuple(notes))
