"""Gene sets in few dimensions: which pathways, complexes and signatures a gene belongs to.

Thousands of overlapping sets say much the same; a truncated singular value decomposition of the membership matrix
keeps the directions in which genes really differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from scipy import sparse

from perturbarena.errors import FormatError
from perturbarena.knowledge.collection import read_gmt
from perturbarena.knowledge.decomposition import truncated_svd
from perturbarena.knowledge.features import GeneFeatures

N_DIMENSIONS: Final = 60


def gene_set_features(paths: Sequence[Path], *, n_dimensions: int = N_DIMENSIONS) -> GeneFeatures:
    """Membership M (genes × sets, 0/1) ≈ U S Vᵀ; a gene's features are its row of U S.

    Parameters
    ----------
    paths
        GMT files (``.gz`` too): a set a line, its name, a description, its genes, separated by tabs.
    n_dimensions
        Dimensions kept; fewer where the matrix has fewer.

    Raises
    ------
    FormatError
        If a file cannot be read, a line has no gene, or there are too few genes or sets.
    """
    sets = [genes for path in paths for _, genes in read_gmt(path)]
    row: dict[str, int] = {}
    genes = [row.setdefault(gene, len(row)) for members in sets for gene in members]
    columns = np.repeat(np.arange(len(sets)), [len(members) for members in sets])
    shape = (len(row), len(sets))
    where = ", ".join(path.name for path in paths)
    if min(shape) < 2:
        raise FormatError(f"gene sets need at least 2 genes and 2 sets; got {shape[0]} and {shape[1]} ({where})")
    membership = sparse.csr_matrix((np.ones(len(genes)), (genes, columns)), shape=shape)
    left, singular, _ = truncated_svd(membership, n_dimensions=n_dimensions)
    names = np.array(list(row), object)
    source = f"{len(sets):,} gene sets of {len(paths)} files"
    return GeneFeatures("gene_sets", names, left * singular, source)
