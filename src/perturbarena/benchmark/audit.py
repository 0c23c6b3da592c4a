"""The audit of a question set, from files to findings.

Reads more leniently than scoring does: a file with repeated ids cannot be scored, but it can be audited.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from perturbarena.benchmark.attacks import Attack, Kind, attack_across, attack_within
from perturbarena.benchmark.folders import label_hidden
from perturbarena.benchmark.leakage import N_RESAMPLES, Finding, Verdict, judge
from perturbarena.benchmark.oracles import Oracle, oracles
from perturbarena.benchmark.overlap import Check, check_overlap, check_repeats, differing
from perturbarena.benchmark.recorded import recorded_noise
from perturbarena.challenge.formats import labelled_from_table, read_questions, read_table
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import FormatError, InputError


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """Labelled rows and their ids as they stand in the file; ``rows`` may have other ids where those repeat."""

    rows: LabelledQuestions
    ids: np.ndarray

    @classmethod
    def of(cls, rows: LabelledQuestions) -> LabelledFile:
        """Rows that are in memory, under their own ids."""
        return cls(rows, rows.id)


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """What an audit looks at: training rows, hidden rows, and the hidden rows' labels where there are any.

    ``truth`` stands in the order of ``hidden``, which is what entrants see. ``part`` (n,) names each hidden row's
    part (``Public``, ``Private``), which are attacked separately too. ``recorded`` is what the maker of the set
    says about its label noise.
    """

    train: LabelledFile | None
    hidden: Questions | None
    truth: LabelledFile | None
    part: np.ndarray | None = None
    recorded: tuple[Check, ...] = ()

    @classmethod
    def of(
        cls,
        train: LabelledQuestions | None,
        hidden: LabelledQuestions | None = None,
        *,
        part: np.ndarray | None = None,
    ) -> QuestionSet:
        """Labelled rows in memory. Hidden rows stand in the order of the published test file."""
        return cls(
            None if train is None else LabelledFile.of(train),
            None if hidden is None else hidden.questions,
            None if hidden is None else LabelledFile.of(hidden),
            part,
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """Attacks and checks, each with a verdict, and what names alone could tell at most."""

    findings: tuple[Finding, ...]
    checks: tuple[Check, ...]
    oracles: tuple[Oracle, ...]

    @property
    def leaks(self) -> int:
        """Attacks and checks whose verdict is ``leak``."""
        return sum(item.verdict is Verdict.leak for item in (*self.findings, *self.checks))

    def as_json(self) -> dict[str, Any]:
        """``findings``, ``checks``, ``oracles`` and the number of ``leaks``."""
        return {
            "findings": [finding.as_json() for finding in self.findings],
            "checks": [check.as_json() for check in self.checks],
            "oracles": [oracle.as_json() for oracle in self.oracles],
            "leaks": self.leaks,
        }


class _Block(NamedTuple):
    """Rows that are attacked together."""

    of: str
    rows: LabelledQuestions
    attacks: list[Attack]


def audit_questions(questions: QuestionSet, *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> Audit:
    """Attack labelled rows with what they show, hidden rows with what training rows show, and count overlaps.

    Raises
    ------
    InputError
        If no rows are labelled, or the parts are not one for each hidden row.
    """
    train, hidden, truth = questions.train, questions.hidden, questions.truth
    if train is None and truth is None:
        raise InputError("an audit needs labelled rows: a label column, or --truth with the labels")
    files = [(of, file) for of, file in (("train", train), ("hidden", truth)) if file is not None]
    blocks = []
    if train is not None:
        attacks = attack_within(train.rows, ids=train.ids, hidden=hidden, rng=rng)
        blocks.append(_Block("train", train.rows, attacks))
    if truth is not None:
        if train is None:
            attacks = attack_within(truth.rows, ids=truth.ids, hidden=None, rng=rng)
        else:
            attacks = attack_across(train.rows, truth.rows, ids=truth.ids)
        whole = _Block("hidden", truth.rows, attacks)
        blocks += [whole, *_parts(whole, questions.part)]
    n_tests = sum(len(block.attacks) for block in blocks)
    findings = [
        finding
        for of, rows, attacks in blocks
        for finding in judge(attacks, rows, of=of, n_tests=n_tests, rng=rng, n_resamples=n_resamples)
    ]
    checks = [check for of, file in files for check in check_repeats(file.rows, file.ids, of=of)]
    if train is not None and hidden is not None:
        differs = None if truth is None else differing(train.rows, truth.rows)
        checks += check_overlap(train.rows.questions, hidden, differs=differs)
    found = [oracle for of, file in files for oracle in oracles(file.rows, of=of, rng=rng)]
    return Audit(tuple(findings), (*checks, *questions.recorded), tuple(found))


def _parts(whole: _Block, part: np.ndarray | None) -> Iterator[_Block]:
    """Each part of the hidden rows: the same scores, as entrants see all rows at once and not their parts.

    Leave-one-out is left out: what chance gives depends on the rows its means are taken over.
    """
    if part is None:
        return
    if len(part) != len(whole.rows):
        raise InputError(f"each hidden row has one part; got {len(part)} parts and {len(whole.rows)} rows")
    names = sorted(set(part))
    for name in names if len(names) > 1 else ():
        index = np.flatnonzero(part == name)
        attacks = [a.of_rows(index) for a in whole.attacks if a.kind in (Kind.fixed, Kind.trained)]
        yield _Block(f"{whole.of} ({name})", whole.rows.take(index), attacks)


def read_question_set(path: Path, *, truth: Path | None = None) -> QuestionSet:
    """A labelled CSV, an unlabelled one with its truth, or a folder with train.csv and test.csv.

    ``truth`` is a solution file (``id,label``) or the folder that holds ``solution.csv``; its column ``Usage``,
    where there is one, names the parts. A folder's ``benchmark.json`` may record label noise.

    Raises
    ------
    InputError
        If the path is neither, a file lacks what it needs, or labels and questions do not belong together.
    """
    recorded: tuple[Check, ...] = ()
    if path.is_dir():
        recorded = recorded_noise(path / "benchmark.json")
        train = _labelled(read_table(path / "train.csv", required=("label",)), path / "train.csv")
        hidden_file = path / "test.csv"
        hidden = read_questions(hidden_file) if hidden_file.is_file() else None
    else:
        table = read_table(path)
        train = _labelled(table, path) if "label" in table.columns else None
        hidden = None if train is not None else read_questions(path)
    if truth is None:
        return QuestionSet(train, hidden, None, recorded=recorded)
    if hidden is None:
        raise InputError(f"--truth has the labels of hidden rows, and {path} has none")
    rows, part = _solution(truth / "solution.csv" if truth.is_dir() else truth, hidden)
    return QuestionSet(train, hidden, LabelledFile.of(rows), part, recorded)


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


class _Solution(NamedTuple):
    rows: LabelledQuestions
    part: np.ndarray | None


def _solution(path: Path, hidden: Questions) -> _Solution:
    table = read_table(path, required=("id", "label"))
    found = label_hidden(table, hidden, source=path)
    part = table["Usage"].to_numpy(object)[found.position] if "Usage" in table.columns else None
    return _Solution(found.rows, part)
