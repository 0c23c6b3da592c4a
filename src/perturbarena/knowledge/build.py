"""Compile sources into a store: read, map symbols to one name a gene, count what could not be mapped.

Names and orthologues are read first, because every other source's symbols are judged by them. A symbol of a mouse
source that no list of names has keeps its own name and is counted as kept; one of a human source without a mouse
orthologue has nowhere to go and is counted as unmapped.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from perturbarena.errors import InputError
from perturbarena.knowledge import readers
from perturbarena.knowledge.readers import Pair
from perturbarena.knowledge.sources import FoundFile, Source, choose_sources, declared_sources, locate
from perturbarena.knowledge.store import new_store
from perturbarena.knowledge.symbols import Names, Resolved

FIRST: Final = ("names", "orthologues")
"""Kinds that are read before the others, in this order."""
EXAMPLES: Final = 10
"""Symbols named of those that could not be mapped."""
TAXA: Final = {"10090": "mouse", "9606": "human"}


class Entered(NamedTuple):
    """A source in the store. ``renamed``, ``kept`` and ``unmapped`` count different symbols."""

    name: str
    kind: str
    version: str
    licence: str
    rows: int
    genes: int
    renamed: int
    kept: int
    kept_examples: tuple[str, ...]
    unmapped: int
    unmapped_examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a store was built from, and what was left out."""

    path: Path
    content_hash: str
    sources: tuple[Entered, ...]
    absent: tuple[str, ...]
    """Declared sources whose files are not here."""
    not_accepted: tuple[str, ...]
    """Restricted sources whose files are here and that were not accepted by name."""


def build_store(
    output: Path,
    *,
    folder: Path | None = None,
    added: Sequence[tuple[Source, Path]] = (),
    only: Sequence[str] = (),
    accepted: Sequence[str] = (),
) -> BuildReport:
    """Build a store from the declared sources whose files lie below ``folder``, and from added ones.

    Parameters
    ----------
    output
        The SQLite file.
    folder
        Where the sources' files are, at any depth.
    added
        Sources of one's own with their files, see :func:`perturbarena.knowledge.sources.added_source`.
    only
        Names of declared sources to take; all by default.
    accepted
        Restricted sources whose licence is accepted.

    Raises
    ------
    FormatError
        If a file cannot be read as what it should be.
    DataUnavailableError
        If a file is not the one that is declared, or a name is unknown.
    InputError
        If there is nothing to build from, or the output cannot be written.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(f"no such folder: {folder}")
    entering, refused = choose_sources(declared_sources().values(), only=only, accepted=accepted)
    twice = {source.name for source, _ in added} & set(declared_sources())
    if twice:
        raise InputError(f"an added source needs a name of its own; {min(twice)} is declared already")
    found = [(source, locate(source, folder)) for source in entering]
    found += [(source, locate(source, None, at=path)) for source, path in added]
    present = [(source, files) for source, files in found if files]
    if not present:
        raise InputError(f"no file of any source in {folder}; see: perturbarena knowledge sources")
    with new_store(output) as connection:
        builder = _Builder(connection)
        entered = builder.read(present)
    content = _content_hash(output)
    absent = tuple(source.name for source, files in found if not files)
    barred = {name for name in refused if locate(declared_sources()[name], folder)}
    absent += tuple(name for name in refused if name not in barred)
    return BuildReport(output, content, entered, absent, tuple(sorted(barred)))


def _content_hash(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT value FROM meta WHERE key = 'content_hash'").fetchone()[0]
    finally:
        connection.close()


@dataclass
class _Tally:
    """One source while it is read."""

    source: Source
    id: int
    rows: int = 0
    genes: set[int] = field(default_factory=set)
    renamed: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    unmapped: set[str] = field(default_factory=set)
    columns: tuple[str, ...] = ()


class _Builder:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.names = Names()
        self.ids: dict[str, int] = {}
        self.entrez: dict[str, str] = {}
        self.by_entrez: dict[tuple[str, str], str] = {}
        self.n_sets = 0

    def read(self, present: Sequence[tuple[Source, tuple[FoundFile, ...]]]) -> tuple[Entered, ...]:
        ordered = sorted(present, key=lambda found: FIRST.index(found[0].kind) if found[0].kind in FIRST else 9)
        tallies = [_Tally(source, number) for number, (source, _) in enumerate(ordered, start=1)]
        files = {source.name: found for source, found in ordered}
        self._learn_names(tallies, files)
        for tally in tallies:
            self._readers()[tally.source.kind](tally, {f.file.role: f for f in files[tally.source.name]})
        entered = [self._enter(tally, files[tally.source.name]) for tally in tallies]
        self.connection.executemany(
            "INSERT INTO gene VALUES (?, ?, ?, ?)",
            [(i, s, self.entrez.get(s, ""), self.names.is_current(s)) for s, i in self.ids.items()],
        )
        self.connection.executemany(
            "INSERT INTO name VALUES (?, ?, ?, ?)",
            [(key, c.name, self.ids[c.gene], c.how) for key, c in self.names if c.gene in self.ids],
        )
        return tuple(entered)

    def _readers(self) -> dict[str, Callable[[_Tally, dict[str, FoundFile]], None]]:
        return {
            "names": self._names,
            "orthologues": self._orthologues,
            "sets": self._sets,
            "regulons": self._regulons,
            "links": self._links,
            "footprints": self._footprints,
            "essential": self._essential,
            "expression": self._profiles,
            "table": self._profiles,
            "summaries": self._summaries,
        }

    def _learn_names(self, tallies: Sequence[_Tally], files: dict[str, tuple[FoundFile, ...]]) -> None:
        """Current names, then old ones, then human ones."""
        pairs: list[Pair] = []
        older: list[Pair] = []
        aliases: list[tuple[str, str]] = []
        for found in (found for tally in tallies for found in files[tally.source.name]):
            form = found.file.format
            if form in ("mgi-markers", "ncbi-gene-info"):
                for row in readers.read_names(found.path, form):
                    self.names.add(row.symbol, row.symbol, "current")
                    self.entrez.setdefault(row.symbol, row.entrez)
                    for synonym in row.synonyms:
                        self.names.add(synonym, row.symbol, "old")
            elif form in ("hcop", "pairs"):
                pairs += readers.read_pairs(found.path, form)
            elif form == "hmd":
                older += readers.read_pairs(found.path, form)
            elif form == "gene-list":
                aliases += [(row.gene, row.entrez) for row in readers.read_gene_list(found.path) if row.entrez]
        for pair in pairs:
            if self.names.resolve(pair.mouse).how != "old":
                self.names.add(pair.mouse, pair.mouse, "current")
        self.names.learn_renamed(older, pairs)
        known = [pair._replace(mouse=self.names.resolve(pair.mouse).gene or pair.mouse) for pair in pairs + older]
        self.names.learn_human(known, aliases + [(pair.human, pair.human_entrez) for pair in older])
        self._learn_entrez(known)

    def _learn_entrez(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            if pair.mouse_entrez:
                self.entrez.setdefault(pair.mouse, pair.mouse_entrez)
            if pair.human_entrez:
                self.by_entrez.setdefault(("human", pair.human_entrez), pair.human)
        self.by_entrez.update({("mouse", number): symbol for symbol, number in self.entrez.items() if number})

    def _gene(self, symbol: str, tally: _Tally, *, species: str | None = None) -> int | None:
        """The gene's number, counted for the source; None where the symbol cannot be mapped."""
        species = species or tally.source.species
        found = self.names.resolve(symbol, species=species)
        if found.how == "unknown" and species == "mouse":
            how = "current" if tally.source.authority else "as given"
            self.names.add(symbol, symbol, how)
            found = Resolved(symbol, how)
        if found.gene is None:
            tally.unmapped.add(symbol)
            return None
        if found.how == "as given":
            tally.kept.add(symbol)
        elif (found.gene != symbol and species == "mouse") or "old" in found.how:
            tally.renamed.add(symbol)
        number = self._number(found.gene)
        tally.genes.add(number)
        return number

    def _number(self, gene: str) -> int:
        return self.ids.setdefault(gene, len(self.ids) + 1)

    def _names(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        main = files["main"]
        for row in readers.read_names(main.path, main.file.format):
            tally.rows += self._gene(row.symbol, tally) is not None

    def _orthologues(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        main = files["main"]
        rows = [
            (gene, pair.human, tally.id, pair.support, pair.one_to_one)
            for pair in readers.read_pairs(main.path, main.file.format)
            if (gene := self._gene(pair.mouse, tally)) is not None
        ]
        self._insert("orthologue", rows, tally)

    def _sets(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        suffix = tally.source.regulator_suffix
        for found in readers.read_sets(files["main"].path):
            genes = sorted({gene for symbol in found.genes if (gene := self._gene(symbol, tally)) is not None})
            if not genes:
                continue
            self.n_sets += 1
            row = (self.n_sets, tally.id, found.name, found.exact, len(genes))
            self._insert("gene_set", [row], tally)
            self._insert("member", [(gene, self.n_sets) for gene in genes], tally)
            if suffix and found.name.endswith(suffix):
                self._bound(found.name.removesuffix(suffix), genes, tally)

    def _bound(self, name: str, genes: Sequence[int], tally: _Tally) -> None:
        """A set of a regulator's targets: the name is in capitals whatever the species, the sign unknown."""
        found = self.names.resolve(name, species="human")
        gene = found.gene or self.names.resolve(name).gene
        if gene is None:
            tally.unmapped.add(name)
            return
        regulator = self._number(gene)
        self._insert("regulation", [(regulator, target, tally.id, 0, "") for target in genes])

    def _regulons(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        rows = []
        for edge in readers.read_edges(files["main"].path):
            regulator, target = self._gene(edge.regulator, tally), self._gene(edge.target, tally)
            if regulator is not None and target is not None:
                rows.append((regulator, target, tally.id, edge.sign, edge.confidence))
        self._insert("regulation", rows, tally)

    def _links(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        rows: list[tuple[int, int, int, int]] = []
        links = readers.read_links(files["main"].path, files["info"].path, min_score=tally.source.min_score)
        for link in links:
            a, b = self._gene(link.a, tally), self._gene(link.b, tally)
            if a is not None and b is not None and a != b:
                rows += [(a, b, tally.id, link.score), (b, a, tally.id, link.score)]
        self._insert("link", sorted(rows, key=lambda row: row[3], reverse=True), tally)

    def _footprints(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        rows = [
            (gene, tally.id, row.pathway, row.weight, row.p_value)
            for row in readers.read_footprints(files["main"].path)
            if (gene := self._gene(row.gene, tally)) is not None
        ]
        self._insert("footprint", rows, tally)

    def _essential(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        for role, essential in (("main", 1), ("nonessential", 0)):
            rows = [
                (gene, tally.id, essential)
                for row in readers.read_gene_list(files[role].path)
                if (gene := self._gene(row.gene, tally)) is not None
            ]
            self._insert("essential", rows, tally)

    def _profiles(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        matrix = readers.read_matrix(files["main"].path)
        tally.columns = matrix.columns
        packed = np.ascontiguousarray(matrix.values, "<f8")
        rows = []
        for i, symbol in enumerate(matrix.genes):
            if (gene := self._gene(symbol, tally)) is not None:
                renamed = self.names.resolve(symbol, species=tally.source.species).how not in ("current", "human")
                rows.append((renamed, (gene, tally.id, packed[i].tobytes())))
        # of two rows of one gene, that under its present name counts
        self._insert("profile", [row for _, row in sorted(rows, key=lambda row: row[0])], tally)

    def _summaries(self, tally: _Tally, files: dict[str, FoundFile]) -> None:
        texts: dict[str, list[tuple[int, int, str]]] = {"mouse": [], "human": []}
        for taxon, entrez, text in readers.read_summaries(files["main"].path):
            species = TAXA.get(taxon, "")
            symbol = self.by_entrez.get((species, entrez))
            if symbol is not None and (gene := self._gene(symbol, tally, species=species)) is not None:
                texts[species].append((gene, tally.id, text))
        self._insert("summary", texts["mouse"] + texts["human"], tally)

    def _insert(self, table: str, rows: Sequence[tuple[object, ...]], tally: _Tally | None = None) -> None:
        """Add rows; of several with one key the first counts."""
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            done = self.connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)
            if tally is not None and table != "gene_set":
                tally.rows += done.rowcount

    def _enter(self, tally: _Tally, files: Sequence[FoundFile]) -> Entered:
        source = tally.source
        kept, unmapped = sorted(tally.kept), sorted(tally.unmapped)
        listed = [
            {"name": f.path.name, "sha256": f.sha256, "pinned": f.file.sha256 == f.sha256, "url": f.file.url}
            for f in files
        ]
        self.connection.execute(
            f"INSERT INTO source VALUES ({', '.join('?' * 19)})",
            (
                tally.id, source.name, source.kind, source.title, source.species, source.version, source.licence,
                source.terms, source.citation, source.origin, json.dumps(listed), tally.rows, len(tally.genes),
                len(tally.renamed), len(kept), json.dumps(kept[:EXAMPLES]), len(unmapped),
                json.dumps(unmapped[:EXAMPLES]), json.dumps(tally.columns),
            ),
        )  # fmt: skip
        self.connection.executemany("INSERT INTO knows VALUES (?, ?)", [(g, tally.id) for g in tally.genes])
        return Entered(
            source.name, source.kind, source.version, source.licence, tally.rows, len(tally.genes),
            len(tally.renamed), len(kept), tuple(kept[:EXAMPLES]), len(unmapped), tuple(unmapped[:EXAMPLES]),
        )  # fmt: skip
