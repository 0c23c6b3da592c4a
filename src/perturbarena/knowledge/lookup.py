"""Ask the store: one gene or two in, a frozen answer out, with the sources that were looked at.

A :class:`KnowledgeBase` may be shared by threads and handed to other processes: each call borrows a connection of
its own, opened where there is none to spare, and a fork or a pickle starts without any.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import struct
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from perturbarena.errors import InputError
from perturbarena.knowledge.answers import (
    Answer,
    Essentiality,
    Footprint,
    GeneName,
    Neighbour,
    Orthologue,
    Profile,
    Regulation,
    SetMembership,
    SignedPath,
    SourceRef,
    Summary,
)
from perturbarena.knowledge.store import open_store
from perturbarena.knowledge.symbols import Candidate, Resolved, resolve

MAX_PATHS: Final = 50
"""Paths told at most, the shortest first."""
MAX_LENGTH: Final = 4
"""Longer paths in a regulatory network lead from everything to everything."""
_SPARE: Final = 64
"""Connections kept open between calls."""

Item = TypeVar("Item")


class SourceRecord(NamedTuple):
    """A row of the manifest."""

    id: int
    name: str
    kind: str
    title: str
    species: str
    version: str
    licence: str
    terms: str
    citation: str
    origin: str
    files: tuple[dict[str, Any], ...]
    rows: int
    genes: int
    renamed: int
    kept: int
    kept_examples: tuple[str, ...]
    unmapped: int
    unmapped_examples: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def ref(self) -> SourceRef:
        """The source as answers name it."""
        return SourceRef(self.name, self.version, self.licence)


class KnowledgeBase:
    """A store, open for reading; see :meth:`open`.

    Raises
    ------
    FormatError
        If the file is missing or no store.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pid, self._spare = os.getpid(), list[sqlite3.Connection]()
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._network: dict[int, list[tuple[int, int, str, int]]] | None = None
        with self._connection() as connection:
            self.sources = tuple(_records(connection))
            self.content_hash = str(
                connection.execute("SELECT value FROM meta WHERE key = 'content_hash'").fetchone()[0]
            )
        self._refs = {record.id: record.ref for record in self.sources}
        self._set_genes = {record.id: record.genes for record in self.sources}

    @classmethod
    def open(cls, path: Path | str) -> KnowledgeBase:
        """Open a store; FormatError where the file is missing or none."""
        return cls(Path(path))

    def __reduce__(self) -> tuple[type[KnowledgeBase], tuple[Path]]:
        return KnowledgeBase, (self.path,)

    def __enter__(self) -> KnowledgeBase:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the spare connections; the next call opens one again."""
        with self._lock:
            spare, self._spare = self._spare, []
        for connection in spare:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._spare = os.getpid(), []
            connection = self._spare.pop() if self._spare else None
        connection = connection or open_store(self.path)
        try:
            yield connection
        finally:
            with self._lock:
                keep = len(self._spare) < _SPARE
                if keep:
                    self._spare.append(connection)
            if not keep:
                connection.close()

    def looked_at(self, *kinds: str) -> tuple[SourceRef, ...]:
        """The sources of these kinds; all without any."""
        return tuple(record.ref for record in self.sources if not kinds or record.kind in kinds)

    def resolve(self, symbol: str) -> Resolved:
        """The gene that a symbol stands for; see :mod:`perturbarena.knowledge.symbols`."""
        with self._connection() as connection:
            return _resolve(connection, symbol)

    def gene(self, symbol: str) -> Answer[GeneName]:
        """The gene's name here, how the symbol led to it, and which sources know it."""

        def read(connection: sqlite3.Connection, gene: int) -> list[GeneName]:
            name, entrez = connection.execute("SELECT symbol, entrez FROM gene WHERE id = ?", (gene,)).fetchone()
            known = connection.execute("SELECT source_id FROM knows WHERE gene_id = ?", (gene,))
            found = _resolve(connection, symbol)
            return [GeneName(name, found.how, entrez, tuple(self._refs[row[0]] for row in known))]

        return self._ask((symbol,), self.looked_at(), read)

    def sets_of(self, symbol: str, *, collection: str | None = None) -> Answer[SetMembership]:
        """The gene sets that the gene is in, the smallest first; those of one source with ``collection``."""
        records = self._collections(collection)

        def read(connection: sqlite3.Connection, gene: int) -> list[SetMembership]:
            rows = connection.execute(
                "SELECT s.name, s.exact, s.size, s.source_id FROM member m JOIN gene_set s ON s.id = m.set_id "
                "WHERE m.gene_id = ? ORDER BY s.size, s.name",
                (gene,),
            )
            return self._memberships(rows, records)

        return self._ask((symbol,), tuple(r.ref for r in records), read)

    def shared_sets(self, a: str, b: str, *, collection: str | None = None) -> Answer[SetMembership]:
        """The gene sets that both genes are in, the smallest first."""
        records = self._collections(collection)

        def read(connection: sqlite3.Connection, first: int, second: int) -> list[SetMembership]:
            rows = connection.execute(
                "SELECT s.name, s.exact, s.size, s.source_id FROM member m JOIN member n ON n.set_id = m.set_id "
                "JOIN gene_set s ON s.id = m.set_id WHERE m.gene_id = ? AND n.gene_id = ? ORDER BY s.size, s.name",
                (first, second),
            )
            return self._memberships(rows, records)

        return self._ask((a, b), tuple(r.ref for r in records), read)

    def regulators(self, symbol: str) -> Answer[Regulation]:
        """What regulates the gene; signed regulations first."""
        return self._regulations(symbol, "target")

    def targets(self, symbol: str) -> Answer[Regulation]:
        """What the gene regulates; signed regulations first."""
        return self._regulations(symbol, "regulator")

    def neighbours(self, symbol: str, *, min_confidence: float = 0.0) -> Answer[Neighbour]:
        """Genes linked to this one (functional association), the most confident first."""

        def read(connection: sqlite3.Connection, gene: int) -> list[Neighbour]:
            rows = connection.execute(
                "SELECT g.symbol, l.score, l.source_id FROM link l JOIN gene g ON g.id = l.b "
                "WHERE l.a = ? AND l.score >= ? ORDER BY l.score DESC, g.symbol",
                (gene, math.ceil(min_confidence * 1000)),
            )
            return [Neighbour(name, score / 1000, self._refs[source]) for name, score, source in rows]

        return self._ask((symbol,), self.looked_at("links"), read)

    def paths(self, a: str, b: str, *, max_length: int = 3) -> Answer[SignedPath]:
        """Ways from a to b over signed regulations, without circles; the shortest first, at most 50.

        Raises
        ------
        InputError
            If ``max_length`` is not between 1 and 4.
        """
        if not 1 <= max_length <= MAX_LENGTH:
            raise InputError(f"paths may have 1 to {MAX_LENGTH} steps; got {max_length}")

        def read(connection: sqlite3.Connection, start: int, end: int) -> list[SignedPath]:
            network = self._signed(connection)
            routes = _routes(network, start, end, max_length=max_length)
            ids = {gene for route in routes for gene, *_ in route} | {start}
            names = _symbols(connection, ids)
            return [self._path(names, start, route) for route in routes]

        return self._ask((a, b), self.looked_at("regulons"), read)

    def expression(self, symbol: str) -> Answer[Profile]:
        """The gene's expression across cell types, one profile a source."""
        return self._profiles(symbol, "expression")

    def tables(self, symbol: str) -> Answer[Profile]:
        """The gene's rows in tables that were added by hand."""
        return self._profiles(symbol, "table")

    def footprints(self, symbol: str) -> Answer[Footprint]:
        """Pathways whose activity moves the gene, the largest weight first."""

        def read(connection: sqlite3.Connection, gene: int) -> list[Footprint]:
            rows = connection.execute(
                "SELECT pathway, weight, p_value, source_id FROM footprint WHERE gene_id = ? "
                "ORDER BY abs(weight) DESC, pathway",
                (gene,),
            )
            return [Footprint(p, weight, p_value, self._refs[source]) for p, weight, p_value, source in rows]

        return self._ask((symbol,), self.looked_at("footprints"), read)

    def essential(self, symbol: str) -> Answer[Essentiality]:
        """Whether the gene is listed as core essential or as non-essential; most genes are in neither list."""

        def read(connection: sqlite3.Connection, gene: int) -> list[Essentiality]:
            rows = connection.execute("SELECT essential, source_id FROM essential WHERE gene_id = ?", (gene,))
            return [Essentiality(bool(essential), self._refs[source]) for essential, source in rows]

        return self._ask((symbol,), self.looked_at("essential"), read)

    def orthologue(self, symbol: str) -> Answer[Orthologue]:
        """The gene's human orthologues, the best supported first."""

        def read(connection: sqlite3.Connection, gene: int) -> list[Orthologue]:
            rows = connection.execute(
                "SELECT symbol, support, one_to_one, source_id FROM orthologue WHERE gene_id = ? "
                "ORDER BY support DESC, one_to_one DESC, symbol, source_id",
                (gene,),
            )
            return [
                Orthologue(name, support, bool(one), self._refs[source]) for name, support, one, source in rows
            ]

        return self._ask((symbol,), self.looked_at("orthologues"), read)

    def summary(self, symbol: str) -> Answer[Summary]:
        """What sources say of the gene in words."""

        def read(connection: sqlite3.Connection, gene: int) -> list[Summary]:
            rows = connection.execute("SELECT text, source_id FROM summary WHERE gene_id = ?", (gene,))
            return [Summary(text, self._refs[source]) for text, source in rows]

        return self._ask((symbol,), self.looked_at("summaries"), read)

    def _ask(
        self, asked: tuple[str, ...], looked_at: tuple[SourceRef, ...], read: Callable[..., Iterable[Item]]
    ) -> Answer[Item]:
        with self._connection() as connection:
            resolved = [_resolve(connection, symbol) for symbol in asked]
            genes = tuple(found.gene for found in resolved)
            ids = [_gene_id(connection, gene) for gene in genes if gene is not None]
            if not looked_at:
                return Answer(asked, genes, (), looked_at, "the store has no source of this kind")
            if len(ids) < len(asked):
                return Answer(asked, genes, (), looked_at, _why(asked, resolved))
            found = tuple(read(connection, *ids))
        return Answer(asked, genes, found, looked_at, "" if found else f"no source says so of {', '.join(asked)}")

    def _collections(self, name: str | None) -> list[SourceRecord]:
        records = [record for record in self.sources if record.kind == "sets"]
        if name is None:
            return records
        if name not in {record.name for record in records}:
            known = ", ".join(record.name for record in records)
            raise InputError(f"{self.path} has no gene sets called {name!r}; it has {known}")
        return [record for record in records if record.name == name]

    def _memberships(self, rows: Iterable[Any], records: Sequence[SourceRecord]) -> list[SetMembership]:
        wanted = {record.id for record in records}
        return [
            SetMembership(name, exact, size, math.log(self._set_genes[source] / size), self._refs[source])
            for name, exact, size, source in rows
            if source in wanted
        ]

    def _regulations(self, symbol: str, side: str) -> Answer[Regulation]:
        def read(connection: sqlite3.Connection, gene: int) -> list[Regulation]:
            rows = connection.execute(
                "SELECT a.symbol, b.symbol, r.sign, r.confidence, r.source_id FROM regulation r "
                "JOIN gene a ON a.id = r.regulator JOIN gene b ON b.id = r.target "
                f"WHERE r.{side} = ? ORDER BY r.sign = 0, r.confidence, a.symbol, b.symbol, r.source_id",
                (gene,),
            )
            return [Regulation(a, b, sign, grade, self._refs[source]) for a, b, sign, grade, source in rows]

        return self._ask((symbol,), self._regulating(), read)

    def _regulating(self) -> tuple[SourceRef, ...]:
        return tuple(record.ref for record in self.sources if record.kind == "regulons" or record.name == "gtrd")

    def _profiles(self, symbol: str, kind: str) -> Answer[Profile]:
        records = {record.id: record for record in self.sources if record.kind == kind}

        def read(connection: sqlite3.Connection, gene: int) -> list[Profile]:
            rows = connection.execute("SELECT numbers, source_id FROM profile WHERE gene_id = ?", (gene,))
            return [
                Profile(records[source].columns, struct.unpack(f"<{len(raw) // 8}d", raw), self._refs[source])
                for raw, source in rows
                if source in records
            ]

        return self._ask((symbol,), self.looked_at(kind), read)

    def _signed(self, connection: sqlite3.Connection) -> dict[int, list[tuple[int, int, str, int]]]:
        """regulator → (target, sign, confidence, source), read once: a path asks it many times."""
        with self._loading:
            if self._network is not None:
                return self._network
            known = defaultdict(list)
            for regulator, *edge in connection.execute(
                "SELECT regulator, target, sign, confidence, source_id FROM regulation WHERE sign != 0"
            ):
                known[regulator].append((edge[0], edge[1], edge[2], edge[3]))
            self._network = dict(known)
            return self._network

    def _path(self, names: dict[int, str], start: int, route: Sequence[tuple[int, int, str, int]]) -> SignedPath:
        steps = []
        before = start
        for gene, sign, grade, source in route:
            steps.append(Regulation(names[before], names[gene], sign, grade, self._refs[source]))
            before = gene
        return SignedPath(tuple(steps), math.prod(step.sign for step in steps))


def _records(connection: sqlite3.Connection) -> Iterator[SourceRecord]:
    for row in connection.execute(f"SELECT {', '.join(SourceRecord._fields)} FROM source ORDER BY id"):
        record = SourceRecord(*row)
        listed = ("files", "kept_examples", "unmapped_examples", "columns")
        yield record._replace(**{field: tuple(json.loads(getattr(record, field))) for field in listed})


def _resolve(connection: sqlite3.Connection, symbol: str) -> Resolved:
    rows = connection.execute(
        "SELECT n.name, g.symbol, n.how FROM name n JOIN gene g ON g.id = n.gene_id WHERE n.key = ?",
        (symbol.casefold(),),
    )
    return resolve(symbol, [Candidate(*row) for row in rows])


def _gene_id(connection: sqlite3.Connection, gene: str) -> int:
    return connection.execute("SELECT id FROM gene WHERE symbol = ?", (gene,)).fetchone()[0]


def _symbols(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, str]:
    return {
        gene: connection.execute("SELECT symbol FROM gene WHERE id = ?", (gene,)).fetchone()[0] for gene in ids
    }


def _why(asked: Sequence[str], resolved: Sequence[Resolved]) -> str:
    reasons = [
        f"{symbol} may be {' or '.join(found.options)}" if found.options else f"{symbol} is in no source"
        for symbol, found in zip(asked, resolved, strict=True)
        if found.gene is None
    ]
    return "; ".join(reasons)


def _routes(
    network: dict[int, list[tuple[int, int, str, int]]], start: int, end: int, *, max_length: int
) -> list[list[tuple[int, int, str, int]]]:
    """Simple routes, the shortest first; a regulator that cannot reach the end in time is not entered."""
    left = _steps_left(network, end, max_length)
    routes: list[list[tuple[int, int, str, int]]] = []
    for length in range(1, max_length + 1):
        waiting: list[list[tuple[int, int, str, int]]] = [[]]
        while waiting and len(routes) < MAX_PATHS:
            route = waiting.pop()
            at = route[-1][0] if route else start
            remaining = length - len(route)
            if remaining == 0:
                routes.append(route)
                continue
            visited = {start, *(gene for gene, *_ in route)}
            for edge in reversed(network.get(at, [])):
                fits = edge[0] == end if remaining == 1 else left.get(edge[0], MAX_LENGTH) < remaining
                if fits and edge[0] not in visited and (edge[0] != end or remaining == 1):
                    waiting.append([*route, edge])
    return routes


def _steps_left(network: dict[int, list[tuple[int, int, str, int]]], end: int, max_length: int) -> dict[int, int]:
    """The fewest steps from each regulator to the end, where fewer than ``max_length``."""
    left: dict[int, int] = {}
    goal = {end}
    for steps in range(1, max_length):
        goal = {
            gene for gene, edges in network.items() if gene not in left and any(edge[0] in goal for edge in edges)
        }
        left.update(dict.fromkeys(goal, steps))
    return left
