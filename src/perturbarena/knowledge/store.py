"""The store: one SQLite file with every source's rows, who said what under which licence, and a content hash.

The file is built once and only read afterwards. Tables are clustered by gene, so that an answer is one short range
of pages. The bytes depend on the input, this format's version and the SQLite library; the content hash on the
input and the format alone.
"""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from perturbarena.errors import FormatError, InputError

FORMAT_VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE source (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, title TEXT NOT NULL,
  species TEXT NOT NULL, version TEXT NOT NULL, licence TEXT NOT NULL, terms TEXT NOT NULL, citation TEXT NOT NULL,
  origin TEXT NOT NULL,
  files TEXT NOT NULL, rows INTEGER NOT NULL, genes INTEGER NOT NULL, renamed INTEGER NOT NULL,
  kept INTEGER NOT NULL, kept_examples TEXT NOT NULL, unmapped INTEGER NOT NULL, unmapped_examples TEXT NOT NULL,
  columns TEXT NOT NULL);
CREATE TABLE gene (
  id INTEGER PRIMARY KEY, symbol TEXT NOT NULL UNIQUE, entrez TEXT NOT NULL, listed INTEGER NOT NULL);
CREATE TABLE name (
  key TEXT NOT NULL, name TEXT NOT NULL, gene_id INTEGER NOT NULL, how TEXT NOT NULL,
  PRIMARY KEY (key, name, gene_id, how)) WITHOUT ROWID;
CREATE TABLE knows (gene_id INTEGER, source_id INTEGER, PRIMARY KEY (gene_id, source_id)) WITHOUT ROWID;
CREATE TABLE gene_set (
  id INTEGER PRIMARY KEY, source_id INTEGER NOT NULL, name TEXT NOT NULL, exact TEXT NOT NULL,
  size INTEGER NOT NULL,
  UNIQUE (source_id, name));
CREATE TABLE member (gene_id INTEGER, set_id INTEGER, PRIMARY KEY (gene_id, set_id)) WITHOUT ROWID;
CREATE TABLE regulation (
  regulator INTEGER, target INTEGER, source_id INTEGER, sign INTEGER NOT NULL, confidence TEXT NOT NULL,
  PRIMARY KEY (regulator, target, source_id)) WITHOUT ROWID;
CREATE INDEX regulation_target ON regulation (target);
CREATE INDEX regulation_signed ON regulation (regulator) WHERE sign != 0;
CREATE TABLE link (
  a INTEGER, b INTEGER, source_id INTEGER, score INTEGER NOT NULL, PRIMARY KEY (a, b, source_id)) WITHOUT ROWID;
CREATE TABLE footprint (
  gene_id INTEGER, source_id INTEGER, pathway TEXT, weight REAL NOT NULL, p_value REAL,
  PRIMARY KEY (gene_id, source_id, pathway)) WITHOUT ROWID;
CREATE TABLE essential (
  gene_id INTEGER, source_id INTEGER, essential INTEGER NOT NULL, PRIMARY KEY (gene_id, source_id)) WITHOUT ROWID;
CREATE TABLE orthologue (
  gene_id INTEGER, symbol TEXT, source_id INTEGER, support INTEGER NOT NULL, one_to_one INTEGER NOT NULL,
  PRIMARY KEY (gene_id, symbol, source_id)) WITHOUT ROWID;
CREATE TABLE profile (
  gene_id INTEGER, source_id INTEGER, numbers BLOB NOT NULL, PRIMARY KEY (gene_id, source_id)) WITHOUT ROWID;
CREATE TABLE summary (
  gene_id INTEGER, source_id INTEGER, text TEXT NOT NULL, PRIMARY KEY (gene_id, source_id)) WITHOUT ROWID;
"""
"""``numbers`` are little-endian 8-byte floats in the order of the source's ``columns``; scores are of 1,000."""
TABLES: Final = (
    "source", "gene", "name", "knows", "gene_set", "member", "regulation", "link", "footprint", "essential",
    "orthologue", "profile", "summary",
)  # fmt: skip


@contextmanager
def new_store(path: Path) -> Iterator[sqlite3.Connection]:
    """An empty store to fill, that appears under ``path``, packed, only when the block ends well."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error}") from error
    with folder as name:
        with closing(sqlite3.connect(Path(name) / "filling", isolation_level=None)) as filling:
            filling.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA page_size = 4096;")
            filling.executescript(SCHEMA)
            filling.execute("BEGIN")
            yield filling
            _seal(filling)
            filling.execute("COMMIT")
            packed = Path(name) / "packed"
            filling.execute("ANALYZE")
            filling.execute("VACUUM INTO ?", (str(packed),))
        packed.replace(path)


def _seal(connection: sqlite3.Connection) -> None:
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [
            ("content_hash", content_hash(connection)),
            ("format_version", str(FORMAT_VERSION)),
            ("species", "mouse"),
        ],
    )


def content_hash(connection: sqlite3.Connection) -> str:
    """SHA-256 over every row of every table in the order of its key, and the format's version."""
    digest = hashlib.sha256(f"perturbarena knowledge {FORMAT_VERSION}\n".encode())
    for table in TABLES:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        order = ", ".join(columns)
        for row in connection.execute(f"SELECT {order} FROM {table} ORDER BY {order}"):
            digest.update(repr(row).encode())
    return digest.hexdigest()


def open_store(path: Path) -> sqlite3.Connection:
    """A read-only connection; FormatError where the file is not a store of this format's version."""
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    # immutable: no lock is taken, so that any number of processes and threads read side by side
    address = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(address, uri=True, check_same_thread=False)
    try:
        connection.execute("PRAGMA cache_size = -512")
        version = connection.execute("SELECT value FROM meta WHERE key = 'format_version'").fetchone()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise FormatError(f"{path} is no knowledge base: {error}") from error
    if version is None or version[0] != str(FORMAT_VERSION):
        connection.close()
        raise FormatError(f"{path} must have format version {FORMAT_VERSION}; got {version and version[0]}")
    return connection
