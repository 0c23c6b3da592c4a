"""How alike two genes are, out of the store alone: no label has any part in it.

Two measures, averaged where both are known: the cosine of the genes' rows in an SVD of gene-set membership, and
that of their expression across mouse cell types. Links of a functional network come first where there are any.
"""

from __future__ import annotations

from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from perturbarena.knowledge import (
    GeneFeatures,
    KnowledgeBase,
    SourceRecord,
    SourceRef,
    expression_embedding,
    set_embedding,
)

MIN_LINK: Final = 0.4
"""Links below are no neighbours (STRING calls 0.4 medium confidence)."""


class Alike(NamedTuple):
    """A gene and its likeness to the one asked: −1 to 1, or a link's confidence, from ``source``."""

    gene: str
    likeness: float
    how: str


class Likeness:
    """Likeness of genes under the store's names; vectors are made at the first question."""

    def __init__(self, base: KnowledgeBase) -> None:
        self.base = base

    @cached_property
    def _vectors(self) -> tuple[dict[str, np.ndarray], ...]:
        made = []
        if self._sets:
            made.append(_unit(set_embedding(self.base, only=[record.name for record in self._sets])))
        if any(record.kind == "expression" and record.species == "mouse" for record in self.base.sources):
            made.append(_unit(expression_embedding(self.base)))
        return tuple(made)

    @property
    def _sets(self) -> list[SourceRecord]:
        """All but binding near the start, whose sets of thousands of genes tell who was assayed."""
        return [record for record in self.base.sources if record.kind == "sets" and record.name != "gtrd"]

    @property
    def looked_at(self) -> tuple[SourceRef, ...]:
        """The sources that likeness rests on."""
        expression = tuple(r.ref for r in self.base.sources if r.kind == "expression" and r.species == "mouse")
        return (*(record.ref for record in self._sets), *expression, *self.base.looked_at("links"))

    def to(self, gene: str, others: np.ndarray) -> np.ndarray:
        """Likeness of one gene to others, shape (n,); NaN where nothing is known of one of the two."""
        total, known = np.zeros(len(others)), np.zeros(len(others))
        for vectors in self._vectors:
            own = vectors.get(gene)
            for i, other in enumerate(others):
                theirs = vectors.get(other)
                if own is not None and theirs is not None:
                    total[i] += own @ theirs
                    known[i] += 1
        return np.divide(total, known, out=np.full(len(others), np.nan), where=known > 0)

    def nearest(self, gene: str, others: np.ndarray, *, most: int) -> list[Alike]:
        """The others most like the gene, itself left out: linked ones first, then by likeness above 0."""
        here = set(others) - {gene}
        found = [
            Alike(link.symbol, link.confidence, link.source.name)
            for link in self.base.neighbours(gene, min_confidence=MIN_LINK)
            if link.symbol in here
        ][:most]
        rest = np.array(sorted(here - {item.gene for item in found}), object)
        likeness = np.nan_to_num(self.to(gene, rest), nan=0.0)
        order = np.argsort(-likeness, kind="stable")[: most - len(found)]
        return found + [Alike(str(rest[i]), float(likeness[i]), "alike") for i in order if likeness[i] > 0]


def _unit(features: GeneFeatures) -> dict[str, np.ndarray]:
    length = np.linalg.norm(features.matrix, axis=1)
    return {
        str(gene): row / norm
        for gene, row, norm in zip(features.genes, features.matrix, length, strict=True)
        if norm > 0
    }
