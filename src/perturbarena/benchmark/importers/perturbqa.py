"""PerturbQA: two files for each cell line become one three-way question set.

``{cell}-de.csv`` says of each pair whether the gene moved (1) or not (0), ``{cell}-dir.csv`` of the moved ones
whether it went up (1) or down (0). A pair is asked only where the two files together give it exactly one label and
one split; everything else is left out and counted by reason, because guessing would put an answer into the truth
that nobody measured:

=====================================  ========================================================
-de 0, not in -dir                     ``none``
-de 1, in -dir                         ``up`` or ``down``
-de 1, not in -dir                     left out: its direction is not stated
in -dir, not in -de                    left out: it is not stated that it moved
-de 0, in -dir                         left out: the files contradict each other
splits differ                          left out: the files contradict each other
twice in one file, differing           left out: the file contradicts itself
twice in one file, the same            kept once, and counted
=====================================  ========================================================

Its split is kept: the rows of ``test`` are hidden. It has one test split, so all of them are ``Private``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from perturbarena.benchmark.folders import PRIVATE, Solution
from perturbarena.benchmark.importers.imported import Imported, Source
from perturbarena.challenge.data import find_data_set
from perturbarena.challenge.formats import labelled_from_table, line_of, no_blank, read_table, sha256
from perturbarena.challenge.records import DOWN, NONE, UP
from perturbarena.errors import FormatError

DATA_SET: Final = "perturbqa"
COLUMNS: Final = ("pert", "gene", "label", "split")
SPLITS: Final = ("train", "test")
NO_DIRECTION: Final = "moved, but without a row in -dir"
NOT_ASKED: Final = "in -dir, but without a row in -de"
UNMOVED: Final = "not moved in -de, but with a direction in -dir"
TWO_SPLITS: Final = "in one split in -de, in the other in -dir"
TORN: Final = "several rows in one file that differ"
REPEATED: Final = "repeated rows that say the same"
REASONS: Final = (NO_DIRECTION, NOT_ASKED, UNMOVED, TWO_SPLITS, TORN, REPEATED)


class Merged(NamedTuple):
    """``pert,gene,label,split`` with up, down or none, sorted by pert and gene; what was left out, by reason."""

    table: pd.DataFrame
    left_out: dict[str, int]


def import_perturbqa(folder: Path, cell_line: str) -> Imported:
    """One cell line (``k562``, ``rpe1``, ``hepg2``, ``jurkat``) from the folder with its two files, ``.gz`` too.

    Raises
    ------
    FormatError
        If a file is missing, or has a label that is not 0 or 1, a split not train or test, or a blank name.
    """
    paths = [_find(folder, cell_line, kind) for kind in ("de", "dir")]
    de, direction = (read_table(path, required=COLUMNS) for path in paths)
    table, left_out = merge_perturbqa(de, direction, sources=(str(paths[0]), str(paths[1])))
    table = table.assign(id=table["pert"] + "_" + table["gene"])
    rows = labelled_from_table(table, source=folder / cell_line)
    in_test = (table["split"] == "test").to_numpy()
    hidden = rows.take(in_test)
    known = find_data_set(DATA_SET)
    source = Source(
        "perturbqa",
        f"PerturbQA, {cell_line}",
        {path.name: sha256(path) for path in paths},
        licence=known.licence,
        citation=known.citation,
    )
    notes = [
        "The split is PerturbQA's own; its one test split is the hidden block with the Usage Private.",
        "Rows are sorted by perturbation and gene, so that their order says nothing.",
        *(f"Left out, {reason}: {count:,}." for reason, count in left_out.items() if count),
    ]
    solution = Solution(hidden, np.full(len(hidden), PRIVATE, object)) if len(hidden) else None
    return Imported(rows.take(~in_test), hidden.questions, solution, source, left_out, tuple(notes))


def merge_perturbqa(de: pd.DataFrame, direction: pd.DataFrame, *, sources: tuple[str, str]) -> Merged:
    """Merge the two tables (text cells, columns ``pert,gene,label,split``); ``sources`` are named in messages.

    Raises
    ------
    FormatError
        If a name is blank, a label not 0 or 1, or a split not train or test; with the line.
    """
    pair = ["pert", "gene"]
    once = []
    left_out: dict[str, int] = dict.fromkeys(REASONS, 0)
    torn: set[tuple[str, str]] = set()
    for table, source in zip((de, direction), sources, strict=True):
        _check(table, source)
        distinct = table[list(COLUMNS)].drop_duplicates()
        left_out[REPEATED] += len(table) - len(distinct)
        several = distinct[distinct.duplicated(pair, keep=False)]
        torn |= set(zip(several["pert"], several["gene"], strict=True))
        once.append(distinct)
    left_out[TORN] = len(torn)
    if torn:
        once = [t[~np.fromiter((p in torn for p in zip(t["pert"], t["gene"], strict=True)), bool)] for t in once]
    both = once[0].merge(once[1], on=pair, how="outer", suffixes=("", "_dir"))
    in_de, in_dir = both["label"].notna(), both["label_dir"].notna()
    moved = both["label"] == "1"
    reasons = {
        NO_DIRECTION: moved & ~in_dir,
        NOT_ASKED: ~in_de,
        UNMOVED: in_de & ~moved & in_dir,
        TWO_SPLITS: moved & in_dir & (both["split"] != both["split_dir"]),
    }
    keep = np.ones(len(both), bool)
    for reason, rows in reasons.items():
        left_out[reason] = int(rows.sum())
        keep &= ~rows.to_numpy()
    label = np.where(~moved, NONE, np.where(both["label_dir"] == "1", UP, DOWN))
    kept = both.assign(label=label.astype(object)).loc[keep, list(COLUMNS)]
    return Merged(kept.sort_values(pair, ignore_index=True), left_out)


def _check(table: pd.DataFrame, source: str) -> None:
    no_blank(table, ("pert", "gene"), source)
    for column, allowed in (("label", ("0", "1")), ("split", SPLITS)):
        odd = np.flatnonzero(~table[column].isin(allowed).to_numpy())
        if len(odd):
            i = int(odd[0])
            raise FormatError(
                f"{source}: {column} must be {' or '.join(allowed)}; got {table[column].iloc[i]!r} "
                f"(line {line_of(source, i)})"
            )


def _find(folder: Path, cell_line: str, kind: str) -> Path:
    for path in (folder / f"{cell_line}-{kind}.csv", folder / f"{cell_line}-{kind}.csv.gz"):
        if path.is_file():
            return path
    there = sorted({path.name.partition("-de.csv")[0] for path in folder.glob("*-de.csv*")})
    raise FormatError(
        f"{folder} has no {cell_line}-{kind}.csv (or .csv.gz); cell lines there: {', '.join(there) or 'none'}"
    )
