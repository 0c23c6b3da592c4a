"""Any labelled table of pairs, by saying which column is which and what its labels mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from perturbarena.benchmark.folders import PRIVATE, PUBLIC, Solution
from perturbarena.benchmark.importers.imported import Imported, Source
from perturbarena.challenge.formats import labelled_from_table, line_of, read_table, sha256
from perturbarena.challenge.records import LABELS
from perturbarena.errors import FormatError, InputError

REQUIRED: Final = ("pert", "gene", "label")
OPTIONAL: Final = ("id", "split")
SPLITS: Final = {"train": None, "validation": PUBLIC, "test": PRIVATE}
"""What a split's rows become: training rows, or hidden rows with this Usage."""

WITHHELD: Final = "withheld: the file has hidden rows' labels, and a hash lets guesses of them be tested"


@dataclass(frozen=True, slots=True)
class CsvMap:
    """How a table is to be read.

    ``columns`` gives the table's column by ours (pert, gene, label, id, split) where they differ; ``labels`` and
    ``splits`` give ours (up, down, none; train, validation, test) by the table's value.
    """

    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=lambda: {name: name for name in LABELS})
    splits: Mapping[str, str] = field(default_factory=lambda: {name: name for name in SPLITS})


def read_map(*, columns: Iterable[str] = (), labels: Iterable[str] = (), splits: Iterable[str] = ()) -> CsvMap:
    """A map from texts such as ``pert=KO,gene=target``, ``up=1,down=-1,none=0`` and ``train=fit,test=eval``.

    Raises
    ------
    InputError
        If a part is not NAME=VALUE, a name is unknown, a column is given twice, or a value means two things.
    """
    named = _parts(columns, (*REQUIRED, *OPTIONAL), "--map")
    return CsvMap(
        columns=_one_each(named, "--map"),
        labels=_one_each([(theirs, ours) for ours, theirs in _parts(labels, LABELS, "--labels")], "--labels")
        or {name: name for name in LABELS},
        splits=_one_each(
            [(theirs, ours) for ours, theirs in _parts(splits, tuple(SPLITS), "--splits")], "--splits"
        )
        or {name: name for name in SPLITS},
    )


def _parts(given: Iterable[str], names: tuple[str, ...], option: str) -> list[tuple[str, str]]:
    pairs = []
    for part in (part for text in given for part in text.split(",")):
        name, _, value = part.strip().partition("=")
        if name not in names or not value:
            raise InputError(f"{option} needs parts NAME=VALUE with NAME of {', '.join(names)}; got {part!r}")
        pairs.append((name, value))
    return pairs


def _one_each(pairs: list[tuple[str, str]], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise InputError(f"{option} gives {key!r} two meanings: {found[key]} and {value}")
    return found


def import_csv(path: Path, *, how: CsvMap, title: str = "", licence: str = "", citation: str = "") -> Imported:
    """A labelled CSV (``.gz`` too) as a question set; without a split column every row is a training row.

    Rows are sorted by perturbation and gene, so that their order says nothing. Ids are made from the pairs unless
    a column has them.

    Raises
    ------
    FormatError
        If a column is missing (id and split may be), a label or split is not in the map, a name is blank, or an id
        stands twice; with the line.
    """
    read = read_table(path)
    columns = _columns(read, how.columns, path)
    table = pd.DataFrame({ours: read[theirs] for ours, theirs in columns.items()})
    table = table.assign(label=_translate(table["label"], how.labels, "label", "--labels", path))
    if "id" not in table.columns:
        table = table.assign(id=table["pert"] + "_" + table["gene"])
    rows = labelled_from_table(table, source=path)
    split = (
        _translate(table["split"], how.splits, "split", "--splits", path)
        if "split" in table.columns
        else np.full(len(table), "train", object)
    )
    order = np.lexsort((rows.gene.astype(str), rows.pert.astype(str)))
    rows, split = rows.take(order), split[order]
    usage = np.array([SPLITS[name] for name in split], object)
    is_hidden = split != "train"
    hidden = rows.take(is_hidden)
    files = {path.name: WITHHELD if len(hidden) else sha256(path)}
    source = Source("csv", title or path.name, files, licence or "none stated", citation)
    notes = (
        f"Columns read: {', '.join(f'{ours} from {theirs}' for ours, theirs in columns.items())}.",
        "Rows are sorted by perturbation and gene, so that their order says nothing.",
    )
    solution = Solution(hidden, usage[is_hidden]) if len(hidden) else None
    return Imported(rows.take(~is_hidden), hidden.questions, solution, source, notes=notes)


def _columns(table: pd.DataFrame, columns: Mapping[str, str], path: Path) -> dict[str, str]:
    """The table's column by ours: the ones named, and for the others the column of our own name."""
    found = {}
    for ours in (*REQUIRED, *OPTIONAL):
        theirs = columns.get(ours, ours)
        if theirs in table.columns:
            found[ours] = theirs
        elif ours in REQUIRED or ours in columns:
            raise FormatError(
                f"{path} needs the column {theirs} for {ours} (--map {ours}=…); it has {', '.join(table.columns)}"
            )
    return found


def _translate(column: pd.Series, names: Mapping[str, str], what: str, option: str, path: Path) -> np.ndarray:
    odd = np.flatnonzero(~column.isin(list(names)).to_numpy())
    if len(odd):
        i = int(odd[0])
        raise FormatError(
            f"{path}: {what} must be one of {', '.join(names)}; got {column.iloc[i]!r} (line {line_of(path, i)}); "
            f"{option} says what values mean"
        )
    return column.map(dict(names)).to_numpy(object)
