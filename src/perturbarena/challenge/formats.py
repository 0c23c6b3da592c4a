"""Files in and out: question, label and prediction tables; atomic writes; hashes.

Tables are UTF-8 CSV with a header. Every cell is read as text first ("NA" is a gene's name, not a missing
value), and numbers are converted here, so that a message can name the file, the line and the column.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pandas as pd

from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.challenge.words import counted
from perturbarena.errors import FormatError, InputError

READ_AS_MISSING: Final = frozenset(
    {
        "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
        "NULL", "NaN", "None", "n/a", "nan", "null",
    }
)  # fmt: skip
"""Words that a CSV reader with pandas' defaults takes for a missing value."""


def _no_file(path: Path) -> str:
    return f"{path} is a folder; a file is needed" if path.is_dir() else f"no such file: {path}"


def read_table(path: Path | str, *, required: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV file (``.gz`` too) as text columns.

    Raises
    ------
    FormatError
        If the file is missing, empty, not UTF-8, not CSV, has a column twice, lacks a required one, or has a line
        with more or fewer cells than the header (pandas would shift or fill those without a word).
    """
    path = Path(path)
    header: list[str] = []
    rows: list[list[str]] = []
    for line, cells in _csv_lines(path):
        if not header:
            header = cells
        elif len(cells) == len(header):
            rows.append(cells)
        else:
            raise FormatError(
                f"{path}: every line needs {counted(len(header), 'cell')} as the header has; "
                f"got {len(cells)} (line {line})"
            )
    if not header:
        raise FormatError(f"{path} is empty; a header line is needed")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FormatError(f"{path}: a column may stand once; {twice[0]!r} stands {header.count(twice[0])} times")
    missing = [name for name in required if name not in header]
    if missing:
        raise FormatError(f"{path} needs the column {missing[0]}; it has {', '.join(header)}")
    return pd.DataFrame(rows, columns=pd.Index(header, dtype=object), dtype=object)


def _csv_lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of the line where it begins; blank lines are passed over."""
    if not path.is_file():
        raise FormatError(_no_file(path))
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path} cannot be read as CSV: {_one_line(error)}") from error
    limit = csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # traces are longer than the default
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    begins = 1
    try:
        for cells in reader:
            if cells:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise FormatError(f"{path} cannot be read as CSV: {_one_line(error)} (line {begins})") from error
    finally:
        csv.field_size_limit(limit)


def line_of(source: Path | str, row: int) -> int:
    """The line on which a table's row (0, 1, …) begins; cells may span lines, so the file is looked at again.

    Where ``source`` is no file that can be read, one line a row is assumed.
    """
    try:
        records = enumerate(_csv_lines(Path(source)), start=-1)
        return next((line for i, (line, _) in records if i == row), row + 2)
    except FormatError:
        return row + 2


def read_inferred(path: Path | str) -> pd.DataFrame:
    """A CSV file with types and missing values as pandas infers them, as a published metric script gets it.

    For nothing else: pandas takes "NA" for a missing value. Numbers are read exactly.
    """
    return _read_csv(path, float_precision="round_trip")


def _read_csv(path: Path | str, **options: Any) -> pd.DataFrame:
    path = Path(path)
    if not path.is_file():
        raise FormatError(_no_file(path))
    try:
        return pd.read_csv(path, **options)
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} must be UTF-8 text; byte {error.start} is not") from error
    except pd.errors.EmptyDataError as error:
        raise FormatError(f"{path} is empty; a header line is needed") from error
    except (pd.errors.ParserError, csv.Error, OSError, EOFError) as error:
        raise FormatError(f"{path} cannot be read as CSV: {_one_line(error)}") from error


def read_questions(path: Path | str) -> Questions:
    """Questions from a CSV with ``id,pert,gene``; without ``id``, ids are made from the pairs."""
    table = read_table(path, required=("pert", "gene"))
    if "id" not in table.columns:
        table = table.assign(id=table["pert"] + "_" + table["gene"])
    no_blank(table, ("id", "pert", "gene"), path)
    _no_duplicates(table["id"], path)
    return _questions(table)


def read_labelled(path: Path | str, *, questions: Questions | None = None) -> LabelledQuestions:
    """Labelled questions from a CSV with ``id,label`` and, where ``questions`` is not given, ``pert,gene``.

    Raises
    ------
    FormatError
        If a column is missing, an id is repeated or unknown, or a label is not up, down or none.
    """
    return labelled_from_table(read_table(path, required=("id", "label")), questions=questions, source=path)


def labelled_from_table(
    table: pd.DataFrame, *, questions: Questions | None = None, source: Path | str
) -> LabelledQuestions:
    """As :func:`read_labelled`, for a table that is already read; ``source`` is named in messages."""
    _no_duplicates(table["id"], source)
    table = with_pairs(table, questions=questions, source=source)
    no_blank(table, ("id", "pert", "gene"), source)
    try:
        return LabelledQuestions(_questions(table), table["label"].to_numpy(object))
    except InputError as error:
        raise FormatError(f"{source}: {error}") from error


def with_pairs(table: pd.DataFrame, *, questions: Questions | None, source: Path | str) -> pd.DataFrame:
    """The table with columns ``pert`` and ``gene``: its own, those of ``questions``, or read from the ids.

    An id ``{pert}_{gene}`` is taken apart only where it holds exactly one underscore; anything else is ambiguous.
    """
    if {"pert", "gene"} <= set(table.columns):
        return table
    if questions is not None:
        position = {id_: i for i, id_ in enumerate(questions.id)}
        rows = [position.get(id_, -1) for id_ in table["id"]]
        if -1 in rows:
            i = rows.index(-1)
            raise FormatError(
                f"{source}: id {table['id'].iloc[i]} (line {line_of(source, i)}) is not among the questions given"
            )
        return table.assign(pert=questions.pert[rows], gene=questions.gene[rows])
    parts = table["id"].str.split("_")
    ambiguous = np.flatnonzero(parts.str.len().to_numpy() != 2)
    if len(ambiguous):
        i = int(ambiguous[0])
        raise FormatError(
            f"{source} has no columns pert and gene, and the id {table['id'].iloc[i]} "
            f"(line {line_of(source, i)}) does not tell them apart; give the questions file (--questions)"
        )
    return table.assign(pert=parts.str[0], gene=parts.str[1])


def read_predictions(path: Path | str) -> Predictions:
    """Predictions from a CSV with ``id,prediction_up,prediction_down``; a cell that is no number is an error."""
    table = read_table(path, required=("id", "prediction_up", "prediction_down"))
    no_blank(table, ("id",), path)
    up, down = (numbers(table[name], name, source=path) for name in ("prediction_up", "prediction_down"))
    return Predictions(table["id"].to_numpy(object), up, down)


def numbers(column: pd.Series, name: str, *, source: Path | str) -> np.ndarray:
    """A text column as float64; FormatError with line and column where a cell is not a number."""
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        i = int(wrong[0])
        raise FormatError(f"{source}: {name} must be a number; got {column.iloc[i]!r} (line {line_of(source, i)})")
    # to_numeric is off by one bit in every third number, which breaks ties; Python's float is exact.
    return column.to_numpy().astype(np.float64)


def write_questions(path: Path | str, questions: Questions) -> None:
    """``id,pert,gene``."""
    write_table(path, pd.DataFrame({"id": questions.id, "pert": questions.pert, "gene": questions.gene}))


def write_labelled(path: Path | str, rows: LabelledQuestions) -> None:
    """``id,pert,gene,label``, the layout of a published ``train.csv``."""
    write_table(path, pd.DataFrame({"id": rows.id, "pert": rows.pert, "gene": rows.gene, "label": rows.label}))


def write_predictions(path: Path | str, predictions: Predictions) -> None:
    """``id,prediction_up,prediction_down``."""
    write_table(
        path,
        pd.DataFrame(
            {"id": predictions.id, "prediction_up": predictions.p_up, "prediction_down": predictions.p_down}
        ),
    )


def write_table(path: Path | str, table: pd.DataFrame) -> None:
    """Write a CSV atomically, with ``\\n`` line ends and floats that read back to the same bits."""
    texts = table.select_dtypes(include="object")
    bare_return = any("\r" in cell for name in texts for cell in texts[name] if isinstance(cell, str))
    # pandas leaves a carriage return unquoted, and readers then see the end of a line
    quoting = csv.QUOTE_NONNUMERIC if bare_return else csv.QUOTE_MINIMAL
    with atomic(path) as file:
        table.to_csv(file, index=False, lineterminator="\n", quoting=quoting)


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON atomically, keys in the given order, one trailing newline."""
    with atomic(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


@contextlib.contextmanager
def atomic(path: Path | str, *, binary: bool = False) -> Iterator[IO[Any]]:
    """Open a file that appears under ``path`` only when the block ends well; missing folders are made."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise InputError(f"cannot write {path}: {_one_line(error)}") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") if binary else os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _questions(table: pd.DataFrame) -> Questions:
    return Questions(*(table[name].to_numpy(object) for name in ("id", "pert", "gene")))


def _no_duplicates(ids: pd.Series, path: Path | str) -> None:
    repeated = np.flatnonzero(ids.duplicated().to_numpy())
    if len(repeated):
        i = int(repeated[0])
        raise FormatError(f"{path}: an id may stand once; {ids.iloc[i]} stands again on line {line_of(path, i)}")


def no_blank(table: pd.DataFrame, columns: Iterable[str], path: Path | str) -> None:
    """FormatError with the line where a name is blank, or begins or ends with a blank."""
    for name in columns:
        blank = np.flatnonzero((table[name].str.strip() == "").to_numpy())
        if len(blank):
            raise FormatError(f"{path}: column {name} is blank on line {line_of(path, int(blank[0]))}")
        padded = np.flatnonzero((table[name].str.strip() != table[name]).to_numpy())
        if len(padded):
            i = int(padded[0])
            raise FormatError(
                f"{path}: {name} must not begin or end with a blank; got {table[name].iloc[i]!r} "
                f"(line {line_of(path, i)})"
            )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
