"""Genes as vectors, from the store or from a table made elsewhere, under the store's names.

A gene that a source does not have is missing from the record: a vector of zeros would claim that it was looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np
from scipy import sparse

from perturbarena.errors import InputError
from perturbarena.knowledge.coexpression import coexpression_features
from perturbarena.knowledge.decomposition import truncated_svd
from perturbarena.knowledge.features import GeneFeatures, read_features
from perturbarena.knowledge.lookup import KnowledgeBase, SourceRecord
from perturbarena.knowledge.store import open_store

N_SETS: Final = 60
N_EXPRESSION: Final = 20


def set_embedding(base: KnowledgeBase, *, only: Sequence[str] = (), n_dimensions: int = N_SETS) -> GeneFeatures:
    """Membership M (genes × sets, 0/1) ≈ U S Vᵀ over all gene sets, or those of some sources: a gene's row of U S.

    Raises
    ------
    InputError
        If there is no such source, or there are fewer than 2 genes or sets.
    """
    records = _records(base, "sets", only)
    marks = ", ".join("?" * len(records))
    with closing(open_store(base.path)) as connection:
        rows = connection.execute(
            "SELECT g.symbol, m.set_id FROM member m JOIN gene g ON g.id = m.gene_id JOIN gene_set s "
            f"ON s.id = m.set_id WHERE s.source_id IN ({marks}) ORDER BY m.gene_id, m.set_id",
            [record.id for record in records],
        ).fetchall()
    genes, row = np.unique(np.array([symbol for symbol, _ in rows], object), return_inverse=True)
    sets, column = np.unique(np.array([number for _, number in rows], np.int64), return_inverse=True)
    if min(len(genes), len(sets)) < 2:
        raise InputError(f"gene sets need at least 2 genes and 2 sets; got {len(genes)} and {len(sets)}")
    membership = sparse.csr_matrix((np.ones(len(rows)), (row, column)), shape=(len(genes), len(sets)))
    left, singular, _ = truncated_svd(membership, n_dimensions=n_dimensions)
    return GeneFeatures("sets", genes, left * singular, _words(records, f"{len(sets):,} gene sets"))


def expression_embedding(
    base: KnowledgeBase, *, only: Sequence[str] = (), n_dimensions: int = N_EXPRESSION
) -> GeneFeatures:
    """A gene's mean m over cell types, and its row of U S where X − m ≈ U S Vᵀ (genes × cell types, log scale).

    X has the columns of every source taken, and the genes that all of them have. By default those are the mouse
    sources: human ones reach mouse genes by orthologues alone and would cost the others.

    Raises
    ------
    InputError
        If there is no such source, or fewer than 2 genes or cell types.
    """
    wanted = only or [r.name for r in base.sources if r.kind == "expression" and r.species == "mouse"]
    records = _records(base, "expression", wanted)
    profiles: list[dict[str, np.ndarray]] = []
    with closing(open_store(base.path)) as connection:
        for record in records:
            rows = connection.execute(
                "SELECT g.symbol, p.numbers FROM profile p JOIN gene g ON g.id = p.gene_id WHERE p.source_id = ?",
                (record.id,),
            )
            profiles.append({symbol: np.frombuffer(raw, "<f8") for symbol, raw in rows})
    genes = sorted(set.intersection(*(set(profile) for profile in profiles)))
    matrix = np.array([np.concatenate([profile[gene] for profile in profiles]) for gene in genes])
    if len(genes) < 2 or matrix.shape[1] < 2:
        raise InputError(f"expression needs at least 2 genes and 2 cell types; got {matrix.shape}")
    mean = matrix.mean(axis=1, keepdims=True)
    found = truncated_svd(sparse.csr_matrix(matrix - mean), n_dimensions=n_dimensions)
    vectors = np.hstack([mean, found.left * found.singular])
    source = _words(records, f"{matrix.shape[1]} cell types")
    return GeneFeatures("expression", np.array(genes, object), vectors, source)


def cell_embedding(base: KnowledgeBase, cells: Path) -> GeneFeatures:
    """A screen's own co-expression, see :func:`perturbarena.knowledge.coexpression.coexpression_features`."""
    return under_current_names(base, coexpression_features(cells))


def table_embedding(base: KnowledgeBase, table: Path) -> GeneFeatures:
    """Vectors made elsewhere (by a foundation model, from texts): genes first, a number in every other cell."""
    return under_current_names(base, read_features(table))


def under_current_names(base: KnowledgeBase, features: GeneFeatures) -> GeneFeatures:
    """The same features under the store's names; a gene it does not know keeps its own name.

    Of several rows that turn out to be one gene the one under its current name counts, else the first.
    """
    names = [base.resolve(str(symbol)).gene or str(symbol) for symbol in features.genes]
    order = sorted(range(len(names)), key=lambda i: names[i] != features.genes[i])
    row: dict[str, int] = {}
    for i in order:
        row.setdefault(names[i], i)
    genes = sorted(row)
    matrix = features.matrix[[row[gene] for gene in genes]]
    return GeneFeatures(features.name, np.array(genes, object), matrix, features.source)


def _records(base: KnowledgeBase, kind: str, only: Sequence[str]) -> list[SourceRecord]:
    records = [r for r in base.sources if r.kind == kind]
    missing = set(only) - {r.name for r in records}
    if missing or not records:
        known = ", ".join(r.name for r in records) or "none"
        raise InputError(f"{base.path} has no {kind} source {', '.join(sorted(missing))}; it has {known}")
    return [r for r in records if not only or r.name in only]


def _words(records: Sequence[SourceRecord], what: str) -> str:
    return f"{what} of {', '.join(f'{r.name} ({r.version})' for r in records)}"
