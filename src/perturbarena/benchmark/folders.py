"""Question sets as folders, for whoever hands them on: read strictly, and written whole or not at all.

The audit reads leniently, because it must be able to look at a broken set. What is imported or exported must not
be broken: every hidden row has one label and one block, and no label stands where entrants look.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from perturbarena.challenge.formats import (
    labelled_from_table,
    line_of,
    read_labelled,
    read_questions,
    read_table,
)
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import FormatError, InputError

TRAIN, TEST, SOLUTION, RECORD, CARD = "train.csv", "test.csv", "solution.csv", "benchmark.json", "README.md"
"""Files of a question set; the solution alone lies in another folder."""
FORMAT_VERSION: Final = 1
"""Of ``benchmark.json``."""
PUBLIC: Final = "Public"
"""Usage of the validation block: its score is shown while a challenge runs."""
PRIVATE: Final = "Private"
"""Usage of the test block: its score decides."""
USAGES: Final = (PUBLIC, PRIVATE)
_HIDDEN_COLUMNS: Final = ("id", "pert", "gene")


class Solution(NamedTuple):
    """The hidden rows' labels, and the block of each (``Public`` or ``Private``), shape (n,)."""

    rows: LabelledQuestions
    usage: np.ndarray

    def table(self) -> pd.DataFrame:
        """``id,label,Usage``."""
        return pd.DataFrame({"id": self.rows.id, "label": self.rows.label, "Usage": self.usage})


@dataclass(frozen=True, slots=True)
class QuestionFolder:
    """What entrants may see. ``record`` is ``benchmark.json`` ({} without one), ``card`` the README's text."""

    path: Path
    train: LabelledQuestions
    hidden: Questions
    record: dict[str, Any]
    card: str

    def stated(self, name: str) -> str:
        """A text of the record's ``about``, such as ``licence``; "" where it states none."""
        about = self.record.get("about")
        value = about.get(name) if isinstance(about, dict) else None
        return value.strip() if isinstance(value, str) else ""


def read_folder(path: Path) -> QuestionFolder:
    """A question set as it would be published.

    Raises
    ------
    FormatError
        If a file is missing or broken, test.csv has another column than id, pert and gene (a label, at worst),
        or an id stands in both files.
    """
    train = read_labelled(path / TRAIN)
    surplus = [name for name in read_table(path / TEST).columns if name not in _HIDDEN_COLUMNS]
    if surplus:
        raise FormatError(
            f"{path / TEST} may have the columns {', '.join(_HIDDEN_COLUMNS)} alone, as everybody sees it; "
            f"it has {surplus[0]}"
        )
    hidden = read_questions(path / TEST)
    if not len(train) or not len(hidden):
        raise FormatError(f"{path} needs rows in {TRAIN} and {TEST}; got {len(train)} and {len(hidden)}")
    both = sorted(set(train.id) & set(hidden.id))
    if both:
        raise FormatError(f"{path}: {len(both)} ids stand in {TRAIN} and in {TEST}, e.g. {both[0]}")
    return QuestionFolder(
        path=path,
        train=train,
        hidden=hidden,
        record=_record(path / RECORD),
        card=_card(path / CARD),
    )


def read_solution(path: Path, hidden: Questions) -> Solution:
    """The truth of ``hidden``, in its order, from a solution file or its folder (``id,label,Usage``).

    Raises
    ------
    FormatError
        If a hidden row has no label, an id is unknown or repeated, or a Usage is neither Public nor Private.
    """
    path = path / SOLUTION if path.is_dir() else path
    table = read_table(path, required=("id", "label", "Usage"))
    odd = np.flatnonzero(~table["Usage"].isin(USAGES).to_numpy())
    if len(odd):
        i = int(odd[0])
        raise FormatError(
            f"{path}: Usage must be {' or '.join(USAGES)}; got {table['Usage'].iloc[i]!r} "
            f"(line {line_of(path, i)})"
        )
    found = label_hidden(table, hidden, source=path)
    return Solution(found.rows, table["Usage"].to_numpy(object)[found.position])


class LabelledHidden(NamedTuple):
    """Hidden rows with their labels, and the position of each in the solution's table, shape (n,)."""

    rows: LabelledQuestions
    position: np.ndarray


def label_hidden(table: pd.DataFrame, hidden: Questions, *, source: Path) -> LabelledHidden:
    """The labels of ``hidden``, in its order, which is what entrants see, from a solution's columns id and label.

    Raises
    ------
    FormatError
        If a hidden row has no label, or an id is unknown or repeated.
    """
    pairs = table.drop(columns=["pert", "gene"], errors="ignore")
    rows = labelled_from_table(pairs, questions=hidden, source=source)
    position = {id_: i for i, id_ in enumerate(rows.id)}
    missing = [id_ for id_ in hidden.id if id_ not in position]
    if missing:
        raise FormatError(f"{source} must label every hidden row; {len(missing)} are missing, e.g. {missing[0]}")
    order = np.array([position[id_] for id_ in hidden.id], np.int64)
    return LabelledHidden(rows.take(order), order)


@contextlib.contextmanager
def whole_folders(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Folders to write into that get their names, in the order given, only when the block ends well.

    Raises
    ------
    InputError
        If a folder exists and is not empty, cannot be made, or one lies inside another: who publishes the outer
        one would publish the inner one with it.
    """
    targets = [path.resolve() for path in paths]
    keep_apart(*targets)
    for path, target in zip(paths, targets, strict=True):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{path} is there already; give a new or an empty folder")
    parts: list[Path] = []
    named: list[Path] = []
    try:
        parts.extend(_part(target) for target in targets)
        yield tuple(parts)
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
            named.append(target)
    except BaseException as error:
        for folder in (*parts, *named):
            shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(f"cannot write {' and '.join(map(str, paths))}: {error}") from error
        raise


def keep_apart(*paths: Path) -> None:
    """InputError where one folder is, or lies inside, another."""
    resolved = [path.resolve() for path in paths]
    for i, inner in enumerate(resolved):
        for j, outer in enumerate(resolved):
            if i != j and (inner == outer or outer in inner.parents):
                raise InputError(f"{inner} must lie apart from {outer}: one is handed out, the other is not")


def _part(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part"))
    umask = os.umask(0)
    os.umask(umask)
    part.chmod(0o777 & ~umask)
    return part


def _card(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error


def _record(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise FormatError(f"{path} must hold one JSON object; got {type(value).__name__}")
    return value
