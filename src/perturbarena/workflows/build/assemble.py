"""The files of BENCH and TRUTH, written where nobody looks yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from perturbarena.benchmark import read_question_set
from perturbarena.benchmark.splits import TRAIN
from perturbarena.challenge.formats import atomic, sha256, write_json, write_labelled, write_questions, write_table
from perturbarena.workflows.build.card import card
from perturbarena.workflows.build.figures import draw_figures
from perturbarena.workflows.build.folders import AUDIT_FIGURE, RECORD, SOLUTION, Folders, fresh
from perturbarena.workflows.build.questions import HIDDEN, Drawn
from perturbarena.workflows.build.record import Findings


class Assembled(NamedTuple):
    """The folder that becomes BENCH, and its record."""

    bench: Path
    record: dict[str, Any]


def assemble(record: dict[str, Any], folders: Folders, drawn: Drawn, findings: Findings) -> Assembled:
    """Write everything, read it back as its users will, and take the hashes."""
    bench, truth = fresh(folders.work / "bench"), fresh(folders.next_truth)
    write_labelled(bench / "train.csv", drawn.rows[TRAIN])
    hidden = drawn.hidden(*HIDDEN)
    write_questions(bench / "test.csv", hidden.questions)
    solution = pd.DataFrame({"id": hidden.id, "label": hidden.label, "Usage": drawn.usage()})
    write_table(truth / SOLUTION, solution)
    read_question_set(bench, truth=truth)
    figures = draw_figures(bench / "figures", drawn, nulls=findings.nulls, audit=folders.work / AUDIT_FIGURE)
    tables = {name: sha256(bench / name) for name in ("train.csv", "test.csv")}
    tables[SOLUTION] = sha256(truth / SOLUTION)
    with atomic(bench / "README.md") as file:
        file.write(card(record, figures=figures, hashes=tables))
    others = ["README.md", *(f"figures/{name}" for name in figures)]
    whole = record | {"files": tables | {name: sha256(bench / name) for name in others}}
    write_json(bench / RECORD, whole)
    return Assembled(bench, whole)
