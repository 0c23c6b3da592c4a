"""The original formats of knowledge sources, each as plain rows; nothing is mapped or judged here.

Files are read line by line, because a network of proteins has millions of them.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from perturbarena.errors import FormatError
from perturbarena.knowledge.features import read_features

REGULATOR: Final = ("source", "tf", "regulator")
TARGET: Final = ("target", "gene")
SIGN: Final = ("weight", "mor", "sign")
"""Column names of regulons: CollecTRI's, DoRothEA's, and plain ones."""
_REPEAT: Final = re.compile(r"\.\d+$")


class GeneSet(NamedTuple):
    """``exact`` is the set's identifier at its source, as GMT's second column gives it."""

    name: str
    exact: str
    genes: tuple[str, ...]


class Edge(NamedTuple):
    """``sign`` is +1, −1, or 0 where the file gives none; ``confidence`` is the file's own grade."""

    regulator: str
    target: str
    sign: int
    confidence: str


class Link(NamedTuple):
    """Two proteins' symbols and their score of 1,000."""

    a: str
    b: str
    score: int


class FootprintRow(NamedTuple):
    """A responsive gene of a pathway; ``p_value`` is None where none is given."""

    gene: str
    pathway: str
    weight: float
    p_value: float | None


class Pair(NamedTuple):
    """A human and a mouse gene; ``support`` is the number of resources that say so, 0 where it is not told."""

    human: str
    mouse: str
    support: int
    one_to_one: bool
    human_entrez: str = ""
    mouse_entrez: str = ""


class Listed(NamedTuple):
    """A gene of a list, with its Entrez identifier where the file has one."""

    gene: str
    entrez: str


class NameRow(NamedTuple):
    """A gene's current name, its other names, its Entrez identifier."""

    symbol: str
    synonyms: tuple[str, ...]
    entrez: str


class Matrix(NamedTuple):
    """Numbers of genes (rows) in columns; shape (g, k)."""

    columns: tuple[str, ...]
    genes: tuple[str, ...]
    values: np.ndarray


def lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 text file, ``.gz`` unpacked; FormatError where it cannot be read."""
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as text
        ):
            for line in text:
                yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path} cannot be read: {error}") from error


def read_sets(path: Path) -> Iterator[GeneSet]:
    """GMT: name, description, genes, separated by tabs."""
    empty = True
    for number, line in enumerate(lines(path), start=1):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split("\t")]
        genes = tuple(sorted(set(cells[2:]) - {""}))
        if not genes or not cells[0]:
            raise FormatError(
                f"{path}: a gene set needs name, description and genes, tab-separated (line {number})"
            )
        empty = False
        yield GeneSet(cells[0], cells[1], genes)
    if empty:
        raise FormatError(f"{path} has no gene sets")


def read_edges(path: Path) -> Iterator[Edge]:
    """Regulons as CSV or TSV: source (or tf), target, weight (or mor), of which the sign counts, confidence."""
    rows = _table(path, (REGULATOR, TARGET))
    for number, row in rows:
        weight = _first(row, SIGN)
        try:
            value = float(weight) if weight not in (None, "", "NA") else 0.0
        except ValueError as error:
            raise FormatError(f"{path}: a weight must be a number; got {weight!r} (line {number})") from error
        regulator, target = _first(row, REGULATOR) or "", _first(row, TARGET) or ""
        yield Edge(regulator, target, int(value > 0) - int(value < 0), row.get("confidence") or "")


def read_links(path: Path, names: Path, *, min_score: int) -> Iterator[Link]:
    """STRING's links (protein1 protein2 … combined_score) with symbols from its protein.info table."""
    symbol = {row["#string_protein_id"]: row["preferred_name"] for _, row in _table(names, (
        ("#string_protein_id",), ("preferred_name",),
    ))}  # fmt: skip
    for number, row in _table(path, (("protein1",), ("protein2",), ("combined_score",)), delimiter=" "):
        try:
            score = int(row["combined_score"])
        except ValueError as error:
            raise FormatError(
                f"{path}: combined_score must be a whole number; got {row['combined_score']!r} (line {number})"
            ) from error
        if score >= min_score:
            a, b = row["protein1"], row["protein2"]
            yield Link(symbol.get(a, a), symbol.get(b, b), score)


def read_footprints(path: Path) -> Iterator[FootprintRow]:
    """PROGENy's table: gene, pathway, weight, p.value."""
    for number, row in _table(path, (("gene",), ("pathway",), ("weight",))):
        try:
            p_value = float(row["p.value"]) if row.get("p.value") else None
            yield FootprintRow(row["gene"], row["pathway"], float(row["weight"]), p_value)
        except ValueError as error:
            raise FormatError(f"{path}: weights and p-values must be numbers; {error} (line {number})") from error


def read_pairs(path: Path, form: str) -> Iterator[Pair]:
    """Orthologues: babelgene's HCOP table (``hcop``), plain pairs (``pairs``), MGI's HMD report (``hmd``)."""
    if form == "hmd":
        for number, line in enumerate(lines(path), start=1):
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) < 3:
                raise FormatError(f"{path}: a line needs human symbol, Entrez, mouse symbol (line {number})")
            if cells[0] and cells[2]:
                yield Pair(cells[0], cells[2], 0, one_to_one=False, human_entrez=cells[1])
        return
    for number, row in _table(path, (("human_symbol",), ("mouse_symbol",))):
        try:
            support = int(row.get("support_n") or 0)
        except ValueError as error:
            raise FormatError(f"{path}: support_n must be a whole number; {error} (line {number})") from error
        if row["human_symbol"] and row["mouse_symbol"]:
            yield Pair(
                row["human_symbol"],
                row["mouse_symbol"],
                support,
                row.get("one2one", "").upper() == "TRUE",
                row.get("human_entrez", ""),
                row.get("mouse_entrez", ""),
            )


def read_gene_list(path: Path) -> Iterator[Listed]:
    """A column GENE, and ENTREZ_ID where there is one."""
    for _, row in _table(path, (("GENE",),), delimiter="\t"):
        if row["GENE"]:
            yield Listed(row["GENE"], row.get("ENTREZ_ID") or "")


def read_names(path: Path, form: str) -> Iterator[NameRow]:
    """Names with synonyms: MGI's marker list (``mgi-markers``) or NCBI's gene_info (``ncbi-gene-info``)."""
    mgi = form == "mgi-markers"
    symbol, synonyms = ("Marker Symbol", "Marker Synonyms (pipe-separated)") if mgi else ("Symbol", "Synonyms")
    for _, row in _table(path, ((symbol,), (synonyms,)), delimiter="\t"):
        if mgi and row.get("Marker Type", "Gene") not in ("Gene", "Pseudogene"):
            continue
        others = tuple(sorted(set((row[synonyms] or "").split("|")) - {"", "-", row[symbol]}))
        yield NameRow(row[symbol], others, row.get("GeneID") or "")


def read_summaries(path: Path) -> Iterator[tuple[str, str, str]]:
    """NCBI's gene_summary: (taxon, Entrez identifier, text)."""
    for _, row in _table(path, (("#tax_id",), ("GeneID",), ("Summary",)), delimiter="\t"):
        yield row["#tax_id"], row["GeneID"], row["Summary"]


def read_matrix(path: Path) -> Matrix:
    """Genes first, a number in every other cell, with the columns' names.

    ``GENE.1`` beside ``GENE`` is R's name for a repeated row (another probe of a gene): the first counts.
    """
    block = read_features(path)
    header = next(lines(path))
    cells = [cell.strip().strip('"') for cell in header.split("\t" if "\t" in header else ",")]
    width = block.matrix.shape[1]
    genes = [str(gene) for gene in block.genes]
    there = set(genes)
    keep = [i for i, gene in enumerate(genes) if _REPEAT.sub("", gene) not in there or not _REPEAT.search(gene)]
    return Matrix(tuple(cells[-width:]), tuple(genes[i] for i in keep), block.matrix[keep])


def _table(
    path: Path, needed: Sequence[Sequence[str]], *, delimiter: str | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows by column name with their line; of each group of names in ``needed`` one must be a column."""
    text = lines(path)
    first = next(text, "")
    mark = delimiter or ("\t" if "\t" in first else ",")
    # no quoting in tab-separated tables: summaries and names hold quotation marks as they are
    quoting = csv.QUOTE_MINIMAL if mark == "," else csv.QUOTE_NONE
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=mark, quoting=quoting), [])]
    for group in needed:
        if not set(group) & set(header):
            raise FormatError(f"{path} needs the column {' or '.join(group)}; it has {', '.join(header)}")
    reader = csv.reader(text, delimiter=mark, quoting=quoting)
    try:
        for number, cells in enumerate(reader, start=2):
            if cells:
                if len(cells) != len(header):
                    raise FormatError(
                        f"{path}: every line needs {len(header)} cells; got {len(cells)} (line {number})"
                    )
                yield number, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise FormatError(f"{path} cannot be read as a table: {error}") from error


def _first(row: dict[str, str], names: Sequence[str]) -> str | None:
    return next((row[name] for name in names if name in row), None)
