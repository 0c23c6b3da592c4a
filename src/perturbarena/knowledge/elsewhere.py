"""What the knockout of the human orthologue did in other cells: tables of PerturbQA, read by orthologues.

Opt-in, because PerturbQA's licence allows non-commercial use only. The screens are of K562, RPE1, HepG2 and Jurkat
cells (Replogle 2022, Nadig 2025), so that nothing here was measured in the cells that are asked about.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from scipy import sparse

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import FormatError
from perturbarena.knowledge.decomposition import Decomposition, truncated_svd
from perturbarena.knowledge.features import GeneFeatures, read_text

N_DIMENSIONS: Final = 40
RANKS: Final = (5, 10, 20, 40)
"""Leading components that a pair's expected effect is rebuilt from."""
PRIOR_MOVED, PRIOR_ROWS = 0.4, 3.0
"""Of a pair tested in few screens: (moved + 0.4)/(tested + 3), since 0.14 of PerturbQA's rows moved."""


@dataclass(frozen=True, slots=True)
class PairTable:
    """What is known of a perturbation and a gene together; some pairs were tested, others rebuilt from profiles.

    Attributes
    ----------
    name
        What this is, for reports.
    moved
        (pert, gene), by human names → (times it moved, times it was tested).
    human
        The human name of a gene that is asked about.
    pert, gene
        Singular vectors of the screens, times √S: products of rows rebuild effects; genes by name.
    source
        Where it comes from.
    """

    name: str
    moved: Mapping[tuple[str, str], tuple[int, int]]
    human: Mapping[str, str]
    pert: GeneFeatures
    gene: GeneFeatures
    source: str

    @property
    def n_columns(self) -> int:
        """Numbers a pair has."""
        return 3 + len(RANKS)

    def coverage(self, names: Iterable[str]) -> float:
        """Share of these different names that were knocked out or measured; NaN for no names."""
        distinct = sorted(set(names))
        known = (self.pert.positions(distinct) >= 0) | (self.gene.positions(distinct) >= 0)
        return float(np.mean(known)) if distinct else float("nan")

    def pair_values(self, pert: np.ndarray, gene: np.ndarray) -> np.ndarray:
        """Columns: share moved where tested; effect rebuilt from 5, 10, 20, 40 components; similarity of the two
        as knockouts and as readouts (cosines). Shape (n, 7), NaN where nothing is known."""
        human = [(self.human.get(p, ""), self.human.get(g, "")) for p, g in zip(pert, gene, strict=True)]
        tested = [self.moved.get(pair, (0, 0)) for pair in human]
        share = [(m + PRIOR_MOVED) / (n + PRIOR_ROWS) if n else np.nan for m, n in tested]
        knocked, measured = _look_up(self.pert, pert), _look_up(self.gene, gene)
        rebuilt = [(knocked[:, :k] * measured[:, :k]).sum(axis=1) for k in RANKS]
        alike = [_cosine(knocked, _look_up(self.pert, gene)), _cosine(_look_up(self.gene, pert), measured)]
        return np.column_stack([share, *rebuilt, *alike])


class Elsewhere(NamedTuple):
    """Blocks of knockouts (rows: perturbations), of readouts (rows: genes), and of pairs."""

    knockouts: GeneFeatures
    responses: GeneFeatures
    pairs: PairTable


class _Screens(NamedTuple):
    """Rows of all cell lines: moved 0/1, the same less the readout's share in its line, and direction (±1)."""

    pert: list[str]
    gene: list[str]
    moved: list[int]
    centred: list[float]
    moved_pert: list[str]
    moved_gene: list[str]
    sign: list[float]


def read_elsewhere(folder: Path | str, human: Mapping[str, str]) -> Elsewhere:
    """Every cell line's tables in ``folder`` (``….-de.csv.gz`` with ``…-dir.csv.gz`` beside it).

    Signed effects (±1, summed over lines) S ≈ U D Vᵀ give knockouts U D and responses V D in 40 dimensions;
    effects centred by readout and line give the pairs' singular vectors.

    Parameters
    ----------
    human
        The human name of each gene that is asked about, see
        :func:`perturbarena.knowledge.orthologs.read_orthologs`.

    Raises
    ------
    FormatError
        If there is no such table, or one cannot be read.
    """
    folder = Path(folder)
    screens, lines = _read_lines(folder)
    pert = {name: i for i, name in enumerate(sorted(set(screens.pert) | set(screens.moved_pert)))}
    gene = {name: i for i, name in enumerate(sorted(set(screens.gene) | set(screens.moved_gene)))}
    signed = _decompose(screens.moved_pert, screens.moved_gene, screens.sign, pert, gene)
    centred = _decompose(screens.pert, screens.gene, screens.centred, pert, gene)
    tested: dict[tuple[str, str], tuple[int, int]] = {}
    for p, g, m in zip(screens.pert, screens.gene, screens.moved, strict=True):
        before = tested.get((p, g), (0, 0))
        tested[p, g] = (before[0] + m, before[1] + 1)
    source = f"PerturbQA ({', '.join(lines)}), non-commercial licence"
    named = _Namer(human, source)
    pairs = PairTable(
        "pairs_elsewhere",
        tested,
        human,
        named.block("knockouts", pert, centred.left * np.sqrt(centred.singular)),
        named.block("responses", gene, centred.right.T * np.sqrt(centred.singular)),
        source,
    )
    return Elsewhere(
        named.block("ko_elsewhere", pert, signed.left * signed.singular),
        named.block("response_elsewhere", gene, signed.right.T * signed.singular),
        pairs,
    )


def read_screen(folder: Path | str, line: str, human: Mapping[str, str]) -> LabelledQuestions:
    """One cell line as labelled questions under the other species' names.

    Rows whose direction is not told are left out; of several genes with one orthologue the first by name counts.

    Raises
    ------
    FormatError
        If a table is missing or cannot be read, or no name has an orthologue.
    """
    folder = Path(folder)
    rows, direction = _table(folder / f"{line}-de.csv.gz"), _table(folder / f"{line}-dir.csv.gz")
    other = {name: mouse for mouse, name in sorted(human.items(), reverse=True)}
    goes = {(p, g): ("up" if sign else "down") for p, g, sign in direction}
    found: dict[tuple[str, str], str] = {}
    for p, g, moved in rows:
        label = goes.get((p, g)) if moved else "none"
        if label is not None and p in other and g in other:
            found.setdefault((other[p], other[g]), label)
    if not found:
        raise FormatError(f"{folder}: no row of {line} has names with an orthologue")
    questions = Questions.from_pairs([p for p, _ in found], [g for _, g in found])
    return LabelledQuestions(questions, np.array(list(found.values()), object))


class _Namer(NamedTuple):
    human: Mapping[str, str]
    source: str

    def block(self, name: str, row: Mapping[str, int], matrix: np.ndarray) -> GeneFeatures:
        """Rows by the other species' names; rows of zeros (never seen to move) are left out."""
        seen = (matrix**2).sum(axis=1) > 1e-12
        names = [m for m, h in self.human.items() if h in row and seen[row[h]]]
        if not names:
            raise FormatError(f"{self.source}: none of its genes has an orthologue that is known")
        return GeneFeatures(
            name, np.array(names, object), matrix[[row[self.human[m]] for m in names]], self.source
        )


def _read_lines(folder: Path) -> tuple[_Screens, list[str]]:
    if not folder.is_dir():
        raise FormatError(f"no such folder: {folder}")
    tables = sorted(path for path in folder.glob("*-de.csv.gz") if "_set-" not in path.name)
    if not tables:
        raise FormatError(f"{folder} has no table named …-de.csv.gz")
    screens = _Screens([], [], [], [], [], [], [])
    for path in tables:
        rows = _table(path)
        moved = np.array([row[2] for row in rows])
        code = np.unique([row[1] for row in rows], return_inverse=True)[1]
        share = (np.bincount(code, moved) / np.bincount(code))[code]
        screens.pert.extend(row[0] for row in rows)
        screens.gene.extend(row[1] for row in rows)
        screens.moved.extend(moved.tolist())
        screens.centred.extend((moved - share).tolist())
        for p, g, up in _table(path.with_name(path.name.replace("-de.", "-dir."))):
            screens.moved_pert.append(p)
            screens.moved_gene.append(g)
            screens.sign.append(2.0 * up - 1)
    return screens, [path.name.removesuffix("-de.csv.gz") for path in tables]


def _table(path: Path) -> list[tuple[str, str, int]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    missing = [name for name in ("pert", "gene", "label") if name not in (reader.fieldnames or [])]
    if missing:
        raise FormatError(f"{path} needs the columns pert, gene, label; it lacks {', '.join(missing)}")
    rows = [(cells["pert"], cells["gene"], cells["label"]) for cells in reader]
    for line, (_, _, label) in enumerate(rows, start=2):
        if label not in ("0", "1"):
            raise FormatError(f"{path}: a label must be 0 or 1; got {label!r} (line {line})")
    return [(p, g, int(label)) for p, g, label in rows]


def _decompose(
    pert: list[str], gene: list[str], value: list[float], row: Mapping[str, int], column: Mapping[str, int]
) -> Decomposition:
    at = ([row[p] for p in pert], [column[g] for g in gene])
    return truncated_svd(sparse.csr_matrix((value, at), shape=(len(row), len(column))), n_dimensions=N_DIMENSIONS)


def _look_up(block: GeneFeatures, names: np.ndarray) -> np.ndarray:
    at = block.positions(names)
    return np.where((at >= 0)[:, None], block.matrix[at], np.nan)


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
