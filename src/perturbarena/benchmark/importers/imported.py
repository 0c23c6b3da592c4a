"""An imported question set, and the folders that it becomes.

Nothing that follows from a hidden row's label is written into the question set's folder: no hash of the solution,
no count of its labels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from perturbarena.benchmark.folders import (
    CARD,
    FORMAT_VERSION,
    RECORD,
    SOLUTION,
    TEST,
    TRAIN,
    Solution,
    whole_folders,
)
from perturbarena.challenge.formats import sha256, write_json, write_labelled, write_questions, write_table
from perturbarena.challenge.records import LABELS, LabelledQuestions, Questions
from perturbarena.challenge.words import counted
from perturbarena.errors import InputError


@dataclass(frozen=True, slots=True)
class Source:
    """Where a question set comes from. ``files`` gives the SHA-256 of each file by its name."""

    importer: str
    title: str
    files: dict[str, str]
    licence: str = "none stated"
    citation: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """Training rows, hidden rows, their truth where it is known, and what a reader must be told.

    ``left_out`` counts rows of the source that are not in the set, by reason; ``notes`` are sentences.
    """

    train: LabelledQuestions
    hidden: Questions
    solution: Solution | None
    source: Source
    left_out: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.train):
            raise InputError(f"{', '.join(self.source.files)}: no training rows; every row is hidden or left out")
        if self.solution is not None and not np.array_equal(self.solution.rows.id, self.hidden.id):
            raise InputError("the solution must have the hidden rows' ids in their order")

    def label_counts(self) -> dict[str, dict[str, int]]:
        """Rows by label, of the training rows and of the hidden rows where their truth is known."""
        parts = {"train": self.train, "hidden": None if self.solution is None else self.solution.rows}
        counts = {name: Counter(rows.label.tolist()) for name, rows in parts.items() if rows is not None}
        return {name: {label: count[label] for label in LABELS} for name, count in counts.items()}


def write_imported(imported: Imported, folder: Path, *, truth: Path | None = None) -> None:
    """Write the question set's folder, and ``solution.csv`` into the truth's folder.

    Raises
    ------
    InputError
        If the hidden rows' labels are known and no folder is given for them or the reverse, a folder is not empty
        or lies in the other, or cannot be written.
    """
    if imported.solution is not None and truth is None:
        raise InputError(f"{len(imported.hidden)} hidden rows have labels; name a folder for them (--truth)")
    if imported.solution is None and truth is not None:
        raise InputError(f"the source labels no hidden row, so nothing would be written to {truth}")
    # the question set gets its name last: where it stands, its truth stands too
    with whole_folders(*([truth] if truth is not None else []), folder) as parts:
        if imported.solution is not None:
            write_table(parts[0] / SOLUTION, imported.solution.table())
        part = parts[-1]
        write_labelled(part / TRAIN, imported.train)
        if len(imported.hidden):
            write_questions(part / TEST, imported.hidden)
        (part / CARD).write_text(card(imported), encoding="utf-8")
        write_json(part / RECORD, record(imported, part))


def record(imported: Imported, folder: Path) -> dict[str, Any]:
    """``benchmark.json`` of an imported set whose tables lie in ``folder``."""
    source = imported.source
    tables = [name for name in (TRAIN, TEST) if (folder / name).is_file()]
    return {
        "format_version": FORMAT_VERSION,
        "kind": "imported",
        "about": {"title": source.title, "licence": source.licence, "citation": source.citation},
        "source": {"importer": source.importer, "files": source.files},
        "hashes": {name: sha256(folder / name) for name in tables},
        "rows": {
            "train": len(imported.train),
            "hidden": len(imported.hidden),
            "train_labels": imported.label_counts()["train"],
            "left_out": imported.left_out,
        },
        "notes": list(imported.notes),
    }


def card(imported: Imported) -> str:
    """The question set's README."""
    source, counts = imported.source, imported.label_counts()["train"]
    lines = [
        f"# {source.title}",
        "One row is one question: `pert` is perturbed, does `gene` go up, down, or stay (`none`)?",
        f"- `{TRAIN}`: {_shape(imported.train.questions)}; "
        + ", ".join(f"{counts[label]:,} {label}" for label in LABELS),
    ]
    if len(imported.hidden):
        lines.append(f"- `{TEST}`: {_shape(imported.hidden)}; labels are not in this folder")
    lines.append("Read every cell as text: `NA` can be a gene's name.")
    lines += [f"- {note}" for note in imported.notes]
    lines.append(f"Licence: {source.licence}")
    if source.citation:
        lines.append(f"Cite: {source.citation}")
    return _paragraphs(lines)


def _shape(questions: Questions) -> str:
    perts, genes = len(set(questions.pert)), len(set(questions.gene))
    return f"{counted(len(questions), 'row')}, {counted(perts, 'perturbation')}, {counted(genes, 'gene')}"


def _paragraphs(lines: list[str]) -> str:
    text = lines[0]
    for before, line in pairwise(lines):
        text += ("\n" if before.startswith("- ") and line.startswith("- ") else "\n\n") + line
    return text + "\n"
