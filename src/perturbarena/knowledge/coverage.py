"""How much of a question set a store knows of, source by source: what is not covered cannot help."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from perturbarena.knowledge.lookup import KnowledgeBase


class Covered(NamedTuple):
    """How many of the different perturbations, genes, and both together a source knows."""

    source: str
    kind: str
    version: str
    perts: int
    genes: int
    both: int


@dataclass(frozen=True, slots=True)
class CoverageReport:
    """Coverage of a question set.

    Attributes
    ----------
    n_perts, n_genes, n_both
        Different symbols: perturbations, genes, both together.
    sources
        What each source knows.
    anywhere
        What any source knows.
    renamed
        Symbols that are known under another name, with that name.
    unknown
        Symbols that no source knows, or that are ambiguous.
    """

    n_perts: int
    n_genes: int
    n_both: int
    sources: tuple[Covered, ...]
    anywhere: Covered
    renamed: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]


def coverage_of(base: KnowledgeBase, *, pert: Iterable[str], gene: Iterable[str]) -> CoverageReport:
    """Which share of these perturbations and genes each source knows."""
    perts, genes = set(pert), set(gene)
    both = sorted(perts | genes)
    known: dict[str, set[str]] = {}
    renamed = []
    for symbol in both:
        found = base.gene(symbol).found
        if found:
            known[symbol] = {ref.name for ref in found[0].known_to}
            if found[0].symbol != symbol:
                renamed.append((symbol, found[0].symbol))

    def count(name: str, kind: str, version: str, covered: set[str]) -> Covered:
        return Covered(name, kind, version, len(covered & perts), len(covered & genes), len(covered))

    rows = tuple(
        count(r.name, r.kind, r.version, {symbol for symbol, names in known.items() if r.name in names})
        for r in base.sources
    )
    anywhere = count("any", "", "", {symbol for symbol, names in known.items() if names})
    unknown = tuple(symbol for symbol in both if not known.get(symbol))
    return CoverageReport(len(perts), len(genes), len(both), rows, anywhere, tuple(renamed), unknown)
