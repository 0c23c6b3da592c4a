"""One gene, one name: what to do with old names, another case, another species.

A symbol is looked up among current names first, then old ones, then without regard to case, then among the names
of human orthologues. The first of these steps that knows it gives the answer; where that step knows several genes
the symbol is ambiguous and stays unmapped: a wrong gene is worse than none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal, NamedTuple

from perturbarena.knowledge.readers import Pair

How = Literal["current", "as given", "old", "human", "old human"]
"""What a name is: the gene's own; its own in a source and in no list of names; a former one; its orthologue's."""

MOUSE_STEPS: Final[tuple[tuple[tuple[How, ...], bool], ...]] = (
    (("current", "as given"), True),
    (("old",), True),
    (("current", "as given"), False),
    (("old",), False),
    (("human",), True),
    (("human",), False),
    (("old human",), False),
)
"""Kinds of name in the order in which they are tried, and whether the case must be the same."""
HUMAN_STEPS: Final[tuple[tuple[tuple[How, ...], bool], ...]] = (
    (("human",), True),
    (("old human",), True),
    (("human",), False),
    (("old human",), False),
)


class Candidate(NamedTuple):
    """A name, the gene it may stand for, and why."""

    name: str
    gene: str
    how: How


class Resolved(NamedTuple):
    """``gene`` is None where the symbol is unknown, or ambiguous between ``options``."""

    gene: str | None
    how: str
    options: tuple[str, ...] = ()


def resolve(symbol: str, candidates: Sequence[Candidate], *, species: str = "mouse") -> Resolved:
    """The gene that a symbol stands for, out of the candidates whose names equal it but for the case."""
    for kinds, exact in HUMAN_STEPS if species == "human" else MOUSE_STEPS:
        found = [c for c in candidates if c.how in kinds and (not exact or c.name == symbol)]
        genes = sorted({c.gene for c in found})
        if len(genes) == 1:
            case = "" if exact or any(c.name == symbol for c in found) else ", other case"
            return Resolved(genes[0], found[0].how + case)
        if genes:
            return Resolved(None, "ambiguous", tuple(genes))
    return Resolved(None, "unknown")


class Names:
    """All names known so far, by what they are without case."""

    def __init__(self) -> None:
        self._by_key: dict[str, dict[Candidate, None]] = defaultdict(dict)
        self._current: set[str] = set()
        self._seen: dict[tuple[str, str], Resolved] = {}

    def __iter__(self) -> Iterator[tuple[str, Candidate]]:
        for key in sorted(self._by_key):
            for candidate in sorted(self._by_key[key]):
                yield key, candidate

    def is_current(self, symbol: str) -> bool:
        """Whether a list of names has it."""
        return symbol in self._current

    def add(self, name: str, gene: str, how: How) -> None:
        """Let ``name`` stand for ``gene``."""
        if how in ("current", "as given"):
            self._current.update({name} if how == "current" else ())
        self._by_key[name.casefold()][Candidate(name, gene, how)] = None
        self._seen.clear()

    def resolve(self, symbol: str, *, species: str = "mouse") -> Resolved:
        """See :func:`resolve`."""
        asked = (symbol, species)
        if asked not in self._seen:
            candidates = tuple(self._by_key.get(symbol.casefold(), ()))
            self._seen[asked] = resolve(symbol, candidates, species=species)
        return self._seen[asked]

    def learn_renamed(self, old: Sequence[Pair], new: Sequence[Pair]) -> None:
        """Old names out of two states of one table: a human gene's one partner that has another name since.

        A mouse symbol of ``old`` that ``new`` no longer has is an old name of the symbol that took its place with
        the same human Entrez identifier, where either state has exactly one and the new one was not there before.
        """
        before, since = _partners(old), _partners(new)
        had, has = {pair.mouse for pair in old}, {pair.mouse for pair in new}
        for entrez, partners in sorted(before.items()):
            successors = since.get(entrez, set())
            if len(partners) == 1 and len(successors) == 1:
                (was,), (now,) = partners, successors
                if was not in has and now not in had:
                    self.add(was, now, "old")
        for pair in old:
            if not self._by_key.get(pair.mouse.casefold()):
                self.add(pair.mouse, pair.mouse, "current")

    def learn_human(self, pairs: Sequence[Pair], aliases: Iterable[tuple[str, str]]) -> None:
        """Human names: of several mouse partners the best supported, or none where two are equally good.

        ``aliases`` are (human symbol, Entrez identifier) from any table, for names that have changed.
        """
        best: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs:
            best[pair.human].append(pair)
        chosen = {human: mouse for human, found in best.items() if (mouse := _best(found)) is not None}
        for human, mouse in sorted(chosen.items()):
            self.add(human, mouse, "human")
        current: dict[str, set[str]] = defaultdict(set)
        for pair in pairs:
            if pair.human_entrez:
                current[pair.human_entrez].add(pair.human)
        for symbol, entrez in sorted(set(aliases)):
            names = current.get(entrez, set())
            if symbol not in best and len(names) == 1 and (mouse := chosen.get(next(iter(names)))) is not None:
                self.add(symbol, mouse, "old human")


def _partners(pairs: Iterable[Pair]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for pair in pairs:
        if pair.human_entrez:
            found[pair.human_entrez].add(pair.mouse)
    return found


def _best(pairs: Sequence[Pair]) -> str | None:
    """Most resources, then one-to-one, then the human symbol's letters; None where that leaves several."""
    rank = {pair: (pair.support, pair.one_to_one, pair.mouse.upper() == pair.human.upper()) for pair in pairs}
    top = max(rank.values())
    mice = {pair.mouse for pair, value in rank.items() if value == top}
    return mice.pop() if len(mice) == 1 else None
