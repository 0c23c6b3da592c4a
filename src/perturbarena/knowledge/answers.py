"""What the knowledge base says: every answer names the sources looked at, every item the one it is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class SourceRef:
    """Which source, in which version, under which licence."""

    name: str
    version: str
    licence: str


@dataclass(frozen=True, slots=True)
class Answer(Generic[Item]):
    """What was found; nothing found is an answer too.

    Attributes
    ----------
    asked
        The symbols as they were asked.
    genes
        The genes that they stand for, in the same order; None for a symbol that could not be mapped.
    found
        The items, the most telling first.
    looked_at
        Every source that could have known.
    why
        Why ``found`` is empty; empty where it is not.
    """

    asked: tuple[str, ...]
    genes: tuple[str | None, ...]
    found: tuple[Item, ...]
    looked_at: tuple[SourceRef, ...]
    why: str = ""

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.found)


@dataclass(frozen=True, slots=True)
class GeneName:
    """A gene's name here, how the asked symbol led to it, and the sources that know it.

    ``how`` is ``current``, ``as given`` (in a source, in no list of names), ``old``, ``human`` or ``old human``,
    with ``, other case`` where the letters' case differs.
    """

    symbol: str
    how: str
    entrez: str
    known_to: tuple[SourceRef, ...]


@dataclass(frozen=True, slots=True)
class SetMembership:
    """A gene set that holds the gene (or both genes); ``idf`` is ln(genes in any set of the source / size)."""

    name: str
    exact: str
    size: int
    idf: float
    source: SourceRef


@dataclass(frozen=True, slots=True)
class Regulation:
    """``sign``: +1 activates, −1 represses, 0 unknown; ``confidence`` in the source's own grades."""

    regulator: str
    target: str
    sign: int
    confidence: str
    source: SourceRef


@dataclass(frozen=True, slots=True)
class SignedPath:
    """Steps from one gene to another; ``sign`` is the product of theirs."""

    steps: tuple[Regulation, ...]
    sign: int


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A linked gene; ``confidence`` is the source's score between 0 and 1."""

    symbol: str
    confidence: float
    source: SourceRef


@dataclass(frozen=True, slots=True)
class Profile:
    """A number for each column (cell type), in the source's own scale and order."""

    columns: tuple[str, ...]
    values: tuple[float, ...]
    source: SourceRef


@dataclass(frozen=True, slots=True)
class Footprint:
    """A pathway whose activity moves the gene; ``weight`` signed, ``p_value`` None where not given."""

    pathway: str
    weight: float
    p_value: float | None
    source: SourceRef


@dataclass(frozen=True, slots=True)
class Essentiality:
    """Listed as core essential (True) or as non-essential (False)."""

    essential: bool
    source: SourceRef


@dataclass(frozen=True, slots=True)
class Orthologue:
    """A human orthologue; ``support``: resources that say so, 0 where the source does not tell."""

    symbol: str
    support: int
    one_to_one: bool
    source: SourceRef


@dataclass(frozen=True, slots=True)
class Summary:
    """What a source says of the gene in words."""

    text: str
    source: SourceRef
