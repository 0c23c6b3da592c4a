"""Expression of a gene across reference cell types: where it is on, and how strongly."""

from __future__ import annotations

from pathlib import Path

from perturbarena.knowledge.features import GeneFeatures, read_features


def expression_features(path: Path | str) -> GeneFeatures:
    """Log expression of each gene (rows) in each cell type (columns), as the table gives it.

    The scale of a column is left alone: a model standardises over the genes that it learns from.

    Raises
    ------
    FormatError
        As :func:`perturbarena.knowledge.features.read_features`.
    """
    return read_features(path, name="expression")
