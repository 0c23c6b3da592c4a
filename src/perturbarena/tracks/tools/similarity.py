"""How alike two genes are, out of the store alone: no label has any part in it.

Knockouts are alike if the genes work together: shared pathways, and links of a functional network where there is
one. Target genes are alike if they are regulated together: published signatures and expression across cell types.
Vectors are rows of an SVD, see :mod:`perturbarena.knowledge.embeddings`; likeness is their cosine, averaged over
the kinds of vectors that both genes have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from perturbarena.knowledge import KnowledgeBase, SourceRecord, SourceRef, expression_embedding, set_embedding

PATHWAYS: Final = ("hallmark", "reactome", "wikipathways", "go-bp", "go-mf", "go-cc")
SIGNATURES: Final = ("cgp", "cell-types")
N_PATHWAYS: Final = 200
N_SIGNATURES: Final = 60
MIN_LINK: Final = 0.4
"""Links below are no neighbours (STRING calls 0.4 medium confidence)."""


class Alike(NamedTuple):
    """A gene and its likeness to the one asked: 0 to 1; ``how``: ``alike``, or the network that links them."""

    gene: str
    likeness: float
    how: str


class Likeness:
    """Likeness of genes under the store's names; vectors are made at the first question.

    Parameters
    ----------
    base
        The store.
    sets
        Names of the gene sets to compare by; those that the store lacks are left out.
    n_dimensions
        Of their SVD.
    expression
        Whether to compare by the mouse expression too.
    links
        Whether genes linked in a functional network come first.
    """

    def __init__(
        self, base: KnowledgeBase, *, sets: Sequence[str], n_dimensions: int, expression: bool, links: bool
    ) -> None:
        self.base = base
        self.n_dimensions = n_dimensions
        self._sets = self._of_kind("sets", names=sets)
        self._expression = self._of_kind("expression", species="mouse") if expression else []
        self._links = self._of_kind("links") if links else []

    @classmethod
    def of_knockouts(cls, base: KnowledgeBase) -> Likeness:
        """By what genes do."""
        return cls(base, sets=PATHWAYS, n_dimensions=N_PATHWAYS, expression=False, links=True)

    @classmethod
    def of_targets(cls, base: KnowledgeBase) -> Likeness:
        """By what moves genes."""
        return cls(base, sets=SIGNATURES, n_dimensions=N_SIGNATURES, expression=True, links=False)

    @property
    def looked_at(self) -> tuple[SourceRef, ...]:
        """The sources that likeness rests on."""
        return tuple(record.ref for record in (*self._sets, *self._expression, *self._links))

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
        linked = self.base.neighbours(gene, min_confidence=MIN_LINK) if self._links else ()
        found = [Alike(n.symbol, n.confidence, n.source.name) for n in linked if n.symbol in here][:most]
        rest = np.array(sorted(here - {item.gene for item in found}), object)
        likeness = np.nan_to_num(self.to(gene, rest), nan=0.0)
        order = np.argsort(-likeness, kind="stable")[: most - len(found)]
        return found + [Alike(str(rest[i]), float(likeness[i]), "alike") for i in order if likeness[i] > 0]

    def _of_kind(self, kind: str, *, names: Sequence[str] = (), species: str = "") -> list[SourceRecord]:
        return [
            record
            for record in self.base.sources
            if record.kind == kind and (not names or record.name in names) and species in ("", record.species)
        ]

    @cached_property
    def _vectors(self) -> tuple[dict[str, np.ndarray], ...]:
        return tuple(dict(found) for found in self._made())

    def _made(self) -> Iterator[Iterator[tuple[str, np.ndarray]]]:
        if self._sets:
            made = set_embedding(self.base, only=[r.name for r in self._sets], n_dimensions=self.n_dimensions)
            yield _unit(made.genes, made.matrix)
        if self._expression:
            made = expression_embedding(self.base)
            # without the mean, which makes all strongly expressed genes alike
            yield _unit(made.genes, made.matrix[:, 1:])


def _unit(genes: np.ndarray, matrix: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    length = np.linalg.norm(matrix, axis=1)
    for gene, row, norm in zip(genes, matrix, length, strict=True):
        if norm > 0:
            yield str(gene), row / norm
