"""Gene features: a number of columns for each gene that has them, and nothing for a gene that has not.

A gene without features is absent from the record. A row of zeros would claim that something was measured; what a
model does about an absent gene is the model's own decision.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perturbarena.errors import FormatError, InputError


@dataclass(frozen=True, slots=True)
class GeneFeatures:
    """One block of features.

    Attributes
    ----------
    name
        What kind of features these are, such as ``expression``.
    genes
        Gene symbols, shape (g,), each once.
    matrix
        Their features, shape (g, k), float64, finite.
    source
        Where they come from, in words for a report.

    Raises
    ------
    InputError
        If shapes disagree, a gene stands twice, there is no column, or a value is not finite.
    """

    name: str
    genes: np.ndarray
    matrix: np.ndarray
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "genes", np.asarray(self.genes, object))
        object.__setattr__(self, "matrix", np.asarray(self.matrix, np.float64))
        if self.matrix.ndim != 2 or len(self.matrix) != len(self.genes) or not self.matrix.shape[1]:
            raise InputError(
                f"{self.source}: features need one row a gene and at least one column; "
                f"got shape {self.matrix.shape} for {len(self.genes)} genes"
            )
        if len(set(self.genes)) != len(self.genes):
            raise InputError(f"{self.source}: a gene may stand once; {_first_repeated(self.genes)} stands again")
        unusable = np.flatnonzero(~np.isfinite(self.matrix).all(axis=1))
        if len(unusable):
            gene = self.genes[unusable[0]]
            raise InputError(f"{self.source}: features must be finite; those of {gene} are not")

    def __len__(self) -> int:
        return len(self.genes)

    @property
    def n_columns(self) -> int:
        """Number of features."""
        return self.matrix.shape[1]

    def positions(self, names: Iterable[str]) -> np.ndarray:
        """The row of each name, −1 where the gene has no features, int64."""
        row = {gene: i for i, gene in enumerate(self.genes)}
        return np.fromiter((row.get(name, -1) for name in names), np.int64)

    def coverage(self, names: Iterable[str]) -> float:
        """Share of these different names that have features; NaN for no names."""
        distinct = sorted(set(names))
        return float(np.mean(self.positions(distinct) >= 0)) if distinct else float("nan")


def read_features(path: Path | str, *, name: str = "features") -> GeneFeatures:
    """Features from a table: genes in the first column, a number in every other cell; CSV or TSV, ``.gz`` too.

    A header that is one cell shorter than the lines below it (as R writes it) names the other columns.

    Raises
    ------
    FormatError
        If the file is missing, is not such a table, or a cell is not a finite number.
    """
    lines = _records(path)
    header, rows = (lines[0], lines[1:]) if lines else ([], [])
    if not rows:
        raise FormatError(f"{path} needs a header and at least one gene; it has {len(lines)} lines")
    width = len(rows[0])
    if width < 2 or len(header) not in (width, width - 1):
        raise FormatError(
            f"{path} needs a gene and at least one number on every line, under a header; "
            f"the header has {len(header)} cells, the next line {width}"
        )
    matrix = np.empty((len(rows), width - 1))
    for i, cells in enumerate(rows):
        if len(cells) != width:
            raise FormatError(f"{path}: every line needs {width} cells; got {len(cells)} (gene {cells[0]!r})")
        try:
            matrix[i] = cells[1:]
        except ValueError as error:
            raise FormatError(f"{path}: a feature must be a number; {error} (gene {cells[0]!r})") from error
    try:
        return GeneFeatures(name, np.array([cells[0].strip() for cells in rows], object), matrix, str(path))
    except InputError as error:
        raise FormatError(str(error)) from error


def read_text(path: Path | str) -> str:
    """A UTF-8 text file's content, ``.gz`` unpacked; FormatError where it cannot be read."""
    path = Path(path)
    if not path.is_file():
        raise FormatError(f"no such file: {path}")
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path} cannot be read: {error}") from error


def _records(path: Path | str) -> list[list[str]]:
    text = read_text(path)
    first = text.split("\n", 1)[0]
    delimiter = "\t" if "\t" in first else ","
    try:
        return [cells for cells in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if cells]
    except csv.Error as error:
        raise FormatError(f"{path} cannot be read as a table: {error}") from error


def _first_repeated(genes: np.ndarray) -> str:
    seen: set[str] = set()
    for gene in genes:
        if gene in seen:
            return gene
        seen.add(gene)
    raise InputError("no gene is repeated")
