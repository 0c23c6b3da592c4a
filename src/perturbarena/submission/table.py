"""Checking the predictions table while it streams: one pass, one row in memory, every problem.

No column is named here; the track's schema says which there are and what each may hold.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO, Final

from perturbarena.challenge.formats import READ_AS_MISSING
from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import Challenge, Column, Track
from perturbarena.submission.problems import Findings

MAX_LINE_CHARS: Final = 8 * 2**20
"""A line without an end, or a cell, longer than this is not read: memory stays bounded."""
SUM_TOLERANCE: Final = 1e-6
"""By how much p_up + p_down may exceed 1: decimals rounded up at the seventh place."""
MAX_NAMED_MODELS: Final = 1_000

_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_COUNT: Final = re.compile(r"[+-]?\d{1,18}(\.0*)?", re.ASCII)
_SIZE: Final = re.compile(r"(?<![A-Za-z0-9.])(\d+(?:\.\d+)?)b(?![A-Za-z0-9])", re.IGNORECASE)


def check_table(
    file: BinaryIO, *, challenge: Challenge, track: Track, questions: Questions, findings: Findings
) -> int:
    """Report everything wrong with the table in ``file``; return the number of its rows."""
    name = track.table_path
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    row = 0
    check: _Rows | None = None
    try:
        with long_fields():
            reader = csv.reader(bounded_lines(text), strict=True)
            header = next(reader, [])
            row = 1
            columns = _columns(header, track, findings)
            check = _Rows(challenge, track, questions, findings, columns)
            for row, cells in enumerate(reader, start=2):
                if not check.take(cells, row=row):
                    break
        check.finish()
    except UnicodeDecodeError as error:
        findings.add("table.encoding", f"{name} is not UTF-8 ({error.reason}), somewhere after row {row}")
    except csv.Error as error:
        findings.add("table.csv", f"{name} cannot be read from row {row + 1} on: {error}", row=row + 1)
    finally:
        text.detach()
    return check.n_rows if check else 0


@contextmanager
def long_fields() -> Iterator[None]:
    """The csv module's cell limit, 128 KiB by default, is process-wide; traces are longer."""
    before = csv.field_size_limit(MAX_LINE_CHARS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def bounded_lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Lines of a stranger's table; csv.Error where one is too long or holds a NUL."""
    while line := text.readline(MAX_LINE_CHARS):
        if len(line) == MAX_LINE_CHARS:
            raise csv.Error(f"a line is longer than {MAX_LINE_CHARS:,} characters")
        if "\0" in line:
            raise csv.Error("a NUL character; the file may be UTF-16 or binary")
        yield line


def _columns(header: Sequence[str], track: Track, findings: Findings) -> list[Column | None]:
    """The schema's column at each position; None where the position is unknown or a repetition."""
    if not any(header):
        raise csv.Error("there is no header line")
    if len(header) == 1 and (other := re.search(r"[;\t|]", header[0])):
        raise csv.Error(f"cells are separated by {other.group()!r}, not by commas")
    known = {c.name: c for c in track.columns}
    found: list[Column | None] = []
    for position, name in enumerate(header):
        column = known.get(name)
        if name in header[:position]:
            findings.add("column.duplicate", f"the column {name} stands twice", row=1, column=name)
            column = None
        elif column is None:
            close = next((k for k in known if k.casefold() == name.strip().casefold()), None)
            hint = f" (did you mean {close}?)" if close else ""
            findings.add(
                "column.unknown", f"the column {name!r} is not one of the track's{hint}", row=1, column=name
            )
        found.append(column)
    for column in track.columns:
        if column.name not in header:
            findings.add("column.missing", f"the column {column.name} is missing", row=1, column=column.name)
    return found


class _Rows:
    """What has been seen so far, row by row."""

    def __init__(
        self,
        challenge: Challenge,
        track: Track,
        questions: Questions,
        findings: Findings,
        columns: Sequence[Column | None],
    ) -> None:
        self._challenge, self._track, self._findings, self._columns = challenge, track, findings, columns
        self._answered: dict[str, int | None] = dict.fromkeys(questions.id.tolist())
        self._ask: tuple[str, ...] = tuple(self._answered)
        self._max_rows = 2 * len(self._ask) + 1_000
        self._models: Counter[str] = Counter()
        self._model_row: dict[str, int] = {}
        self._notes: Counter[tuple[str, str | None]] = Counter()
        self._first: dict[tuple[str, str | None], int] = {}
        self._seeds: tuple[int | None, ...] = (None, *track.seeds)
        self.n_rows = 0

    def take(self, cells: Sequence[str], *, row: int) -> bool:
        """Check one row; False where there are so many more rows than questions that reading on is no use.

        A blank line is a row without cells; it is passed over, as CSV readers do.
        """
        if row > self._max_rows:
            self._findings.add(
                "table.rows",
                f"there are {len(self._ask):,} questions but more than {self._max_rows:,} rows",
                row=row,
            )
            return False
        if not cells:
            return True
        self.n_rows += 1
        if len(cells) != len(self._columns):
            self._findings.add("table.width", f"{len(cells)} cells; the header has {len(self._columns)}", row=row)
        values: dict[str, float] = {}
        texts: dict[str, str] = {}
        id_ = next((cell for c, cell in zip(self._columns, cells, strict=False) if c and c.type == "id"), "")
        for column, cell in zip(self._columns, cells, strict=False):
            if column is not None:
                self._cell(column, cell, id_=id_, row=row, values=values, texts=texts)
        if len(cells) == len(self._columns):
            self._row(values, texts, id_=id_, row=row)
        return True

    def finish(self) -> None:
        """What can be said only when all rows are read."""
        id_column = self._track.column("id").name
        if any(c is not None and c.type == "id" for c in self._columns):
            for id_, row in self._answered.items():
                if row is None:
                    self._findings.add("id.missing", f"the question {id_} has no row", column=id_column)
        self._check_models()
        for (rule, column), count in self._notes.items():
            row = self._first[rule, column]
            what = (
                f"{count:,} of {self.n_rows:,} rows are (0, 0)"
                if rule == "answer.zero"
                else _note(rule, count, column)
            )
            self._findings.add(rule, f"{what}, the first on row {row}", row=row, column=column)

    def _cell(
        self, column: Column, cell: str, *, id_: str, row: int, values: dict[str, float], texts: dict[str, str]
    ) -> None:
        at = f"row {row} ({id_}): {column.name}" if id_ else f"row {row}: {column.name}"
        if column.type == "id":
            self._id(cell, row=row, column=column.name)
            return
        if not cell.strip() or cell in READ_AS_MISSING:
            self._findings.add("cell.blank", f"{at} is {cell!r}", row=row, column=column.name)
            return
        if column.type in ("probability", "count"):
            value = self._number(column, cell, at=at, row=row)
            if value is not None:
                values[column.name] = value
            return
        texts[column.name] = cell
        if column.type == "model" and len(self._models) < MAX_NAMED_MODELS:
            self._models[cell] += 1
            self._model_row.setdefault(cell, row)

    def _id(self, id_: str, *, row: int, column: str) -> None:
        if not id_.strip():
            self._findings.add("cell.blank", f"row {row}: {column} is {id_!r}", row=row, column=column)
        elif id_ not in self._answered:
            self._findings.add(
                "id.unknown", f"row {row}: no question has the id {id_[:80]!r}", row=row, column=column
            )
        elif (first := self._answered[id_]) is not None:
            self._findings.add(
                "id.duplicate", f"row {row}: {id_} stands already on row {first}", row=row, column=column
            )
        else:
            self._answered[id_] = row

    def _number(self, column: Column, cell: str, *, at: str, row: int) -> float | None:
        kind, shown = column.type, repr(cell[:40])
        pattern, needed = (_NUMBER, "a number") if kind == "probability" else (_COUNT, "a whole number")
        if pattern.fullmatch(cell.strip()) is None:
            self._findings.add(
                f"{kind}.number", f"{at} must be {needed}; got {shown}", row=row, column=column.name
            )
            return None
        value = float(cell)
        limit = self._track.limit_of(column)
        if kind == "probability" and not 0 <= value <= 1:
            self._findings.add(
                "probability.range", f"{at} must lie in [0, 1]; got {shown}", row=row, column=column.name
            )
            return None
        if kind == "count" and value < 0:
            self._findings.add("count.range", f"{at} must be 0 or more; got {shown}", row=row, column=column.name)
            return None
        if limit is not None and value > limit:
            what = f"{at} is {int(value):,}; the limit is {limit:,}"
            self._findings.add("limit.exceeded", what, row=row, column=column.name)
        return value

    def _row(self, values: dict[str, float], texts: dict[str, str], *, id_: str, row: int) -> None:
        """Rules that hold between the cells of one row."""
        track = self._track
        for seed in self._seeds:
            up, down = track.find("p_up", seed=seed), track.find("p_down", seed=seed)
            if up and down and up.name in values and down.name in values:
                total = values[up.name] + values[down.name]
                if total > 1 + SUM_TOLERANCE:
                    what = f"row {row} ({id_}): {up.name} + {down.name} is {total:.6g}"
                    self._findings.add("probability.sum", what, row=row, column=up.name)
        self._seed_mean(values, id_=id_, row=row)
        up, down = (values.get(track.column(role).name) for role in ("p_up", "p_down"))
        if up == down == 0:
            self._note("answer.zero", None, row)
        unanswered = self._challenge.unanswered
        answered = up is not None and down is not None and math.dist((up, down), unanswered) > 1e-3  # 0.333 is 1/3
        self._traces(values, texts, answered=answered, row=row)

    def _seed_mean(self, values: dict[str, float], *, id_: str, row: int) -> None:
        track = self._track
        if track.aggregation is None:
            return
        for role in ("p_up", "p_down"):
            final = track.column(role).name
            seeds = [values.get(track.column(role, seed=seed).name) for seed in track.seeds]
            known = [v for v in seeds if v is not None]
            if final not in values or len(known) < len(seeds):
                continue
            mean = sum(known) / len(known)
            if abs(values[final] - mean) > track.aggregation_tolerance + 1e-9:
                what = f"row {row} ({id_}): {final} is {values[final]:.6g}; the seeds' mean is {mean:.6g}"
                self._findings.add("seed.mean", what, row=row, column=final)

    def _traces(self, values: dict[str, float], texts: dict[str, str], *, answered: bool, row: int) -> None:
        traces = [c.name for c in self._track.columns if c.role == "trace" and c.name in texts]
        empty = [name for name in traces if texts[name] == self._challenge.empty_text]
        if answered:
            for name in empty:
                self._note("trace.empty", name, row)
        tokens = self._track.find("tokens_used")
        if tokens and values.get(tokens.name) == 0 and len(empty) < len(traces):
            self._note("tokens.zero", tokens.name, row)

    def _note(self, rule: str, column: str | None, row: int) -> None:
        self._notes[rule, column] += 1
        self._first.setdefault((rule, column), row)

    def _check_models(self) -> None:
        column = self._track.find("model")
        if column is None or not self._models:
            return
        model, limits = self._track.model, self._track.limits
        if len(self._models) > 1:
            listed = ", ".join(f"{name[:60]!r} ({count:,} rows)" for name, count in self._models.most_common(5))
            self._findings.add("model.varies", f"{len(self._models)} models: {listed}", column=column.name)
        for name, row in self._model_row.items():
            shown = repr(name[:60])
            if name == self._challenge.empty_text:
                self._findings.add(
                    "model.unnamed", f"row {row}: the model is {shown}", row=row, column=column.name
                )
            elif model.fixed is not None and short_name(name) != short_name(model.fixed):
                what = f"row {row}: the model is {shown}; the track's is {model.fixed}"
                self._findings.add("model.fixed", what, row=row, column=column.name)
            size = stated_parameters(name)
            if limits.max_parameters is not None and size >= limits.max_parameters:
                what = f"row {row}: {shown} names {size:,.0f} parameters; allowed: under {limits.max_parameters:,}"
                self._findings.add("model.size", what, row=row, column=column.name)


def _note(rule: str, count: int, column: str | None) -> str:
    why = "0 although a trace is there" if rule == "tokens.zero" else "empty although the row is answered"
    return f"{column} is {why} on {count:,} rows"


def short_name(model: str) -> str:
    """A model's name without its publisher, in lower case: hub and server write it differently."""
    return model.strip().rsplit("/", 1)[-1].casefold()


def stated_parameters(model: str) -> float:
    """The largest number of parameters that a model's name states, 30e9 in ``Qwen3-30B-A3B``; 0 if none."""
    return max((float(size) * 1e9 for size in _SIZE.findall(model)), default=0.0)
