"""What an audit reads: one submission, in memory, row by row beside the questions it answers.

Reading is lenient where the check of well-formedness is strict: what cannot be read is left out (NaN, empty, False
in ``present``), because a submission that is badly written can still be looked at. Nothing of it is executed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import Challenge, Role, Track
from perturbarena.errors import FormatError
from perturbarena.submission.archive import MIB, Archive, ArchiveLimits, open_archive
from perturbarena.submission.audit.toolcalls import ToolUse, tool_use
from perturbarena.submission.problems import Findings
from perturbarena.submission.table import bounded_lines, long_fields

MAX_FILE_BYTES: Final = 16 * MIB
"""Files beside the table are read up to this size; larger ones are named in the report."""
MAX_TOTAL_BYTES: Final = 64 * MIB
"""… and all of them together up to this."""
UNANSWERED_DISTANCE: Final = 1e-3
"""Two probabilities nearer than this to the unanswered pair are no answer: 0.333 is 1/3."""


class Said(NamedTuple):
    """What one text says: a label or an empty string, probabilities, and whether the text itself states them."""

    label: str
    p_up: float
    p_down: float
    stated: bool


class File(NamedTuple):
    """A file beside the table: its text (None where it is not UTF-8, or too long to read), size and hash."""

    text: str | None
    n_bytes: int
    sha256: str


class Spoken(NamedTuple):
    """The texts and the probabilities of one seed (None: the only ones), aligned with the questions."""

    seed: int | None
    text: list[str]
    p_up: np.ndarray
    p_down: np.ndarray


@dataclass(frozen=True)
class Case:
    """A submission beside its questions. Arrays have shape (n,) in the questions' order."""

    path: Path
    challenge: Challenge
    track: str
    questions: Questions
    present: np.ndarray
    numbers: Mapping[str, np.ndarray]
    texts: Mapping[str, list[str]]
    files: Mapping[str, File]
    said: Mapping[int | None, list[Said]] = field(default_factory=dict)
    """What each text says, by seed; filled in by :meth:`with_answers`."""

    @property
    def rules(self) -> Track:
        return self.challenge.tracks[self.track]

    @property
    def n(self) -> int:
        return len(self.questions)

    def number(self, role: Role, *, seed: int | None = None) -> np.ndarray | None:
        """A numeric column by its role, float64 with NaN where unreadable; None where the track has none."""
        column = self.rules.find(role, seed=seed)
        return None if column is None else self.numbers[column.name]

    @property
    def p_up(self) -> np.ndarray:
        return self.numbers[self.rules.column("p_up").name]

    @property
    def p_down(self) -> np.ndarray:
        return self.numbers[self.rules.column("p_down").name]

    @property
    def decided(self) -> np.ndarray:
        """Rows that are there and are not the unanswered pair, shape (n,), bool."""
        return self.present & decided(self.p_up, self.p_down, self.challenge.unanswered)

    def spoken(self) -> list[Spoken]:
        """The trace columns, each with the probabilities of its seed (the row's own where there is no seed)."""
        found = []
        for column in self.rules.columns:
            if column.role == "trace":
                up, down = (self.number(role, seed=column.seed) for role in ("p_up", "p_down"))
                if up is None or down is None:
                    up, down = self.p_up, self.p_down
                found.append(Spoken(column.seed, self.texts[column.name], up, down))
        return found

    @property
    def models(self) -> list[str]:
        column = self.rules.find("model")
        return [] if column is None else self.texts[column.name]

    @cached_property
    def chars(self) -> np.ndarray:
        """Characters of all traces of each row, shape (n,)."""
        return np.sum([[len(text) for text in spoken.text] for spoken in self.spoken()], axis=0, dtype=float)

    @cached_property
    def tool_uses(self) -> list[ToolUse]:
        """Tool calls of each row, all its traces together."""
        by_trace = [[tool_use(text) for text in spoken.text] for spoken in self.spoken()]
        return [
            ToolUse(tuple(name for use in uses for name in use.names), sum(use.n_results for use in uses))
            for uses in zip(*by_trace, strict=True)
        ]

    def ids(self, rows: np.ndarray | Iterable[int]) -> list[str]:
        """Ids of rows given by a mask or by positions."""
        where = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows))
        if where.dtype == bool:
            where = np.flatnonzero(where)
        return [str(self.questions.id[i]) for i in where.astype(int)]

    def with_answers(self, said: Mapping[int | None, list[Said]]) -> Case:
        """The same case with what each text says."""
        return replace(self, said=said)


def decided(p_up: np.ndarray, p_down: np.ndarray, unanswered: tuple[float, float]) -> np.ndarray:
    """Rows whose pair of probabilities is an answer, shape (n,), bool."""
    known = np.isfinite(p_up) & np.isfinite(p_down)
    return known & (np.hypot(p_up - unanswered[0], p_down - unanswered[1]) > UNANSWERED_DISTANCE)


def read_case(
    path: Path | str,
    *,
    challenge: Challenge,
    track: str,
    questions: Questions,
    limits: ArchiveLimits | None = None,
) -> Case:
    """Read a submission's zip.

    Raises
    ------
    FormatError
        If the file is missing, is not a zip, or holds no readable table.
    RulesError
        If the challenge has no such track.
    """
    track = challenge.track_name(track)
    rules = challenge.tracks[track]
    with open_archive(path, Findings(), limits=limits) as archive:
        if rules.table_path not in archive.files:
            raise FormatError(f"{path} holds no readable {rules.table_path}; 'submit check' says why")
        columns = _read_columns(archive, rules, questions)
        files = _read_files(archive, rules)
    present = np.array([value is not None for value in columns.pop("")], bool)
    numbers, texts = {}, {}
    for column in rules.columns:
        cells = columns[column.name]
        if column.type in ("probability", "count"):
            numbers[column.name] = np.array([_number(cell) for cell in cells], np.float64)
        elif column.type in ("text", "model"):
            texts[column.name] = [_text(cell, challenge.empty_text) for cell in cells]
    return Case(Path(path), challenge, track, questions, present, numbers, texts, files)


def _read_columns(archive: Archive, rules: Track, questions: Questions) -> dict[str, list[str | None]]:
    """Cells by column name, in the questions' order; under "" the ids. None where a question has no row."""
    position = {str(id_): i for i, id_ in enumerate(questions.id)}
    columns: dict[str, list[str | None]] = {name: [None] * len(questions) for name in ("", *rules.column_names)}
    with archive.stream(rules.table_path) as file, long_fields():
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        try:
            reader = csv.reader(bounded_lines(text))
            header = next(reader, [])
            at = {name: header.index(name) for name in rules.column_names if name in header}
            id_at = at.get(rules.column("id").name)
            if id_at is None:
                raise FormatError(f"{rules.table_path} has no column {rules.column('id').name}")
            for cells in reader:
                i = position.get(cells[id_at]) if len(cells) > id_at else None
                if i is None or columns[""][i] is not None:
                    continue
                columns[""][i] = cells[id_at]
                for name, k in at.items():
                    columns[name][i] = cells[k] if k < len(cells) else None
        except (UnicodeDecodeError, csv.Error) as error:
            raise FormatError(f"{rules.table_path} cannot be read: {error}") from error
        finally:
            text.detach()
    return columns


def _read_files(archive: Archive, rules: Track) -> dict[str, File]:
    """Every file but the table, code and prompts first, until there is too much."""
    names = sorted(
        set(archive.files) - {rules.table_path}, key=lambda name: (not name.endswith((".py", ".txt")), name)
    )
    files, left = {}, MAX_TOTAL_BYTES
    for name in names:
        files[name] = _read_file(archive, name, min(left, MAX_FILE_BYTES))
        left -= files[name].n_bytes if files[name].sha256 else 0
    return files


def _read_file(archive: Archive, name: str, limit: int) -> File:
    size = archive.files[name].file_size
    content = archive.read(name, limit)
    if content is None:
        return File(None, size, "")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    return File(None if text is None or "\0" in text else text, len(content), hashlib.sha256(content).hexdigest())


def _number(cell: str | None) -> float:
    try:
        value = float(cell) if cell is not None else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _text(cell: str | None, empty: str) -> str:
    return "" if cell is None or cell.strip() == empty else cell
