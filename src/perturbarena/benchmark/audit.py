"""The audit of a question set, from files to findings.

Reads more leniently than scoring does: a file with repeated ids cannot be scored, but it can be audited.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from perturbarena.benchmark.leakage import (
    N_RESAMPLES,
    Finding,
    Verdict,
    attack_across,
    attack_within,
    judge,
)
from perturbarena.benchmark.overlap import Check, check_overlap, check_repeats
from perturbarena.challenge.formats import labelled_from_table, read_questions, read_table
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import FormatError, InputError


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """Labelled rows and their ids as they stand in the file; ``rows`` may have other ids where those repeat."""

    rows: LabelledQuestions
    ids: np.ndarray


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """What an audit looks at: training rows, hidden rows, and the hidden rows' labels where there are any."""

    train: LabelledFile | None
    hidden: Questions | None
    truth: LabelledFile | None


@dataclass(frozen=True, slots=True)
class Audit:
    """Attacks and checks, each with a verdict."""

    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]

    @property
    def leaks(self) -> int:
        """Attacks and checks whose verdict is ``leak``."""
        return sum(item.verdict is Verdict.leak for item in (*self.findings, *self.checks))

    def as_json(self) -> dict[str, Any]:
        """``findings``, ``checks`` and the number of ``leaks``."""
        return {
            "findings": [finding.as_json() for finding in self.findings],
            "checks": [check.as_json() for check in self.checks],
            "leaks": self.leaks,
        }


def audit_questions(questions: QuestionSet, *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Audit:
    """Attack labelled rows with what they show, hidden rows with what training rows show, and count overlaps.

    Raises
    ------
    InputError
        If no rows are labelled.
    """
    train, hidden, truth = questions.train, questions.hidden, questions.truth
    if train is None and truth is None:
        raise InputError("an audit needs labelled rows: a label column, or --truth with the labels")
    attacked = []
    if train is not None:
        attacked.append(("train", train, attack_within(train.rows, ids=train.ids, hidden=hidden, rng=rng)))
    if truth is not None and train is None:
        attacked.append(("hidden", truth, attack_within(truth.rows, ids=truth.ids, hidden=None, rng=rng)))
    if truth is not None and train is not None:
        attacked.append(("hidden", truth, attack_across(train.rows, truth.rows, ids=truth.ids)))
    n_tests = sum(len(attacks) for _, _, attacks in attacked)
    findings = [
        finding
        for of, file, attacks in attacked
        for finding in judge(attacks, file.rows, of=of, n_tests=n_tests, rng=rng, n_resamples=n_resamples)
    ]
    checks = [check for of, file, _ in attacked for check in check_repeats(file.rows, file.ids, of=of)]
    if train is not None and hidden is not None:
        checks += check_overlap(train.rows.questions, hidden)
    return Audit(tuple(findings), tuple(checks))


def read_question_set(path: Path, *, truth: Path | None = None) -> QuestionSet:
    """A labelled CSV, an unlabelled one with its truth, or a folder with train.csv and test.csv.

    ``truth`` is a solution file (``id,label``) or the folder that holds ``solution.csv``.

    Raises
    ------
    InputError
        If the path is neither, a file lacks what it needs, or labels and questions do not belong together.
    """
    if path.is_dir():
        train = _labelled(read_table(path / "train.csv", required=("label",)), path / "train.csv")
        hidden_file = path / "test.csv"
        hidden = read_questions(hidden_file) if hidden_file.is_file() else None
    else:
        table = read_table(path)
        train = _labelled(table, path) if "label" in table.columns else None
        hidden = None if train is not None else read_questions(path)
    if truth is None:
        return QuestionSet(train, hidden, None)
    if hidden is None:
        raise InputError(f"--truth has the labels of hidden rows, and {path} has none")
    return QuestionSet(train, hidden, _solution(truth / "solution.csv" if truth.is_dir() else truth, hidden))


def _labelled(table: pd.DataFrame, source: Path) -> LabelledFile:
    for name in ("pert", "gene"):
        if name not in table.columns:
            raise FormatError(f"{source} needs the column {name}; it has {', '.join(table.columns)}")
    if table.empty:
        raise FormatError(f"{source} has no rows")
    ids = table["id"] if "id" in table.columns else table["pert"] + "_" + table["gene"]
    again = ids.duplicated().to_numpy()
    pairs = enumerate(zip(ids, again, strict=True), start=1)
    renamed = [f"{id_} (row {i})" if twice else id_ for i, (id_, twice) in pairs]
    return LabelledFile(labelled_from_table(table.assign(id=renamed), source=source), ids.to_numpy(object))


def _solution(path: Path, hidden: Questions) -> LabelledFile:
    table = read_table(path, required=("id", "label"))
    rows = labelled_from_table(
        table.drop(columns=["pert", "gene"], errors="ignore"), questions=hidden, source=path
    )
    position = {id_: i for i, id_ in enumerate(rows.id)}
    missing = [id_ for id_ in hidden.id if id_ not in position]
    if missing:
        raise FormatError(f"{path} must label every hidden row; {len(missing)} are missing, e.g. {missing[0]}")
    # the questions' order, which entrants see, not the solution's
    rows = rows.take(np.array([position[id_] for id_ in hidden.id]))
    return LabelledFile(rows, rows.id)
