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
from typing import Any, Final, Literal, NamedTuple, TypeVar

from perturbarena.errors import FormatError, InputError
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
_SETS: Final = "SELECT group_concat(set_id) FROM member WHERE gene_id = ?"
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


class Edge(NamedTuple):
    """A signed regulation of a target, as numbers."""

    regulator: int
    sign: int
    confidence: str
    source: int


class _Held(NamedTuple):
    """Names of genes, gene sets without members, and who regulates whom, by number."""

    symbols: dict[int, str]
    sets: dict[int, SetMembership]
    regulators: dict[int, list[Edge]]
    targets: dict[int, set[int]]


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
        self._lock = threading.Lock()
        with self._connection() as connection:
            self.sources = tuple(_records(connection))
            self.content_hash = str(
                connection.execute("SELECT value FROM meta WHERE key = 'content_hash'").fetchone()[0]
            )
            self._refs = {record.id: record.ref for record in self.sources}
            self._held = self._read_held(connection)

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
        except sqlite3.DatabaseError as error:
            raise FormatError(f"{self.path} is damaged: {error}") from error
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
            known = _numbers(connection, "SELECT group_concat(source_id) FROM knows WHERE gene_id = ?", gene)
            found = _resolve(connection, symbol)
            return [GeneName(name, found.how, entrez, tuple(self._refs[source] for source in sorted(known)))]

        return self._ask((symbol,), self.looked_at(), read)

    def sets_of(self, symbol: str, *, collection: str | None = None) -> Answer[SetMembership]:
        """The gene sets that the gene is in, the smallest first; those of one source with ``collection``."""
        records = self._collections(collection)

        def read(connection: sqlite3.Connection, gene: int) -> list[SetMembership]:
            return self._memberships(connection, _numbers(connection, _SETS, gene), records)

        return self._ask((symbol,), tuple(r.ref for r in records), read)

    def shared_sets(self, a: str, b: str, *, collection: str | None = None) -> Answer[SetMembership]:
        """The gene sets that both genes are in, the smallest first."""
        records = self._collections(collection)

        def read(connection: sqlite3.Connection, first: int, second: int) -> list[SetMembership]:
            shared = _numbers(connection, _SETS, first) & _numbers(connection, _SETS, second)
            return self._memberships(connection, shared, records)

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
            names = self._held.symbols
            rows = _in_one_step(connection, "link", ("b", "score", "source_id"), "a", gene)
            found = [
                Neighbour(names[other], score / 1000, self._refs[source])
                for other, score, source in rows
                if score >= min_confidence * 1000
            ]
            return sorted(found, key=lambda n: (-n.confidence, n.symbol))

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
            routes = _routes(self._held, start, end, max_length=max_length)
            return [self._path(route) for route in routes]

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

    def _memberships(
        self, connection: sqlite3.Connection, ids: Iterable[int], records: Sequence[SourceRecord]
    ) -> list[SetMembership]:
        sets, wanted = self._held.sets, {record.name for record in records}
        found = [sets[i] for i in ids if sets[i].source.name in wanted]
        return sorted(found, key=lambda s: (s.size, s.name))

    def _regulations(self, symbol: str, side: Literal["regulator", "target"]) -> Answer[Regulation]:
        def read(connection: sqlite3.Connection, gene: int) -> list[Regulation]:
            names = self._held.symbols
            columns = ("regulator", "target", "sign", "confidence", "source_id")
            found = [
                Regulation(names[a], names[b], sign, grade, self._refs[source])
                for a, b, sign, grade, source in _in_one_step(connection, "regulation", columns, side, gene)
            ]
            return sorted(found, key=lambda r: (r.sign == 0, r.confidence, r.regulator, r.target, r.source.name))

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

    def _read_held(self, connection: sqlite3.Connection) -> _Held:
        """What many lookups need and is small: some 0.1 s once, instead of joins in every answer."""
        symbols = dict(connection.execute("SELECT id, symbol FROM gene"))
        total = {record.id: record.genes for record in self.sources}
        sets = {
            i: SetMembership(name, exact, size, math.log(total[source] / size), self._refs[source])
            for i, source, name, exact, size in connection.execute(
                "SELECT id, source_id, name, exact, size FROM gene_set"
            )
        }
        regulators: dict[int, list[Edge]] = defaultdict(list)
        targets: dict[int, set[int]] = defaultdict(set)
        for regulator, target, *edge in connection.execute(
            "SELECT regulator, target, sign, confidence, source_id FROM regulation WHERE sign != 0"
        ):
            regulators[target].append(Edge(regulator, *edge))
            targets[regulator].add(target)
        return _Held(symbols, sets, dict(regulators), dict(targets))

    def _path(self, route: Sequence[tuple[int, Edge]]) -> SignedPath:
        names = self._held.symbols
        steps = tuple(
            Regulation(names[edge.regulator], names[target], edge.sign, edge.confidence, self._refs[edge.source])
            for target, edge in route
        )
        return SignedPath(steps, math.prod(step.sign for step in steps))


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


def _numbers(connection: sqlite3.Connection, query: str, gene: int) -> set[int]:
    joined = connection.execute(query, (gene,)).fetchone()[0]
    return {int(number) for number in joined.split(",")} if joined else set()


def _in_one_step(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], key: str, gene: int
) -> list[Any]:
    """Rows as one value: each row fetched by itself gives the interpreter away, to a crowd of other readers."""
    rows = f"json_group_array(json_array({', '.join(columns)}))"
    return json.loads(connection.execute(f"SELECT {rows} FROM {table} WHERE {key} = ?", (gene,)).fetchone()[0])


def _why(asked: Sequence[str], resolved: Sequence[Resolved]) -> str:
    reasons = [
        f"{symbol} may be {' or '.join(found.options)}" if found.options else f"{symbol} is in no source"
        for symbol, found in zip(asked, resolved, strict=True)
        if found.gene is None
    ]
    return "; ".join(reasons)


def _routes(held: _Held, start: int, end: int, *, max_length: int) -> list[list[tuple[int, Edge]]]:
    """Simple routes as (target, edge), the shortest first; searched from the end: a gene has few regulators."""
    first = held.targets.get(start, set()) - {start}
    routes: list[list[tuple[int, Edge]]] = []
    if start == end or not first:
        return routes
    for length in range(1, max_length + 1):
        waiting: list[list[tuple[int, Edge]]] = [[]]
        while waiting and len(routes) < MAX_PATHS:
            route = waiting.pop()
            at, left = (route[0][1].regulator if route else end), length - len(route)
            visited = {end, *(edge.regulator for _, edge in route)}
            for edge in held.regulators.get(at, ()):
                if edge.regulator in visited or (left == 1) != (edge.regulator == start):
                    continue
                if left == 1:
                    routes.append([(at, edge), *route])
                elif left > 2 or edge.regulator in first:
                    waiting.append([(at, edge), *route])
    return routes[:MAX_PATHS]
