"""Tables in and out: nothing is reinterpreted, nothing shifts, and a message says where."""

from __future__ import annotations

import gzip
import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.challenge.formats import (
    atomic,
    line_of,
    read_labelled,
    read_predictions,
    read_questions,
    read_table,
    sha256,
    write_json,
    write_labelled,
    write_predictions,
    write_questions,
    write_table,
)
from perturbarena.challenge.records import LABELS, LabelledQuestions, Predictions, Questions
from perturbarena.errors import FormatError, InputError

HEADER = "id,prediction_up,prediction_down\n"
CELL = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
NAME = CELL.filter(lambda name: name == name.strip())


def write(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8))
def test_any_text_survives_a_table(rows):
    table = pd.DataFrame(rows, columns=["a", "b"], dtype=object)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        write_table(path, table)
        pd.testing.assert_frame_equal(read_table(path), table)


@given(st.lists(st.tuples(NAME, NAME, st.sampled_from(LABELS)), max_size=8, unique_by=lambda row: row[:2]))
def test_labelled_questions_survive(rows):
    ids = [str(i) for i in range(len(rows))]
    columns = [np.asarray(values, object) for values in (ids, *([row[k] for row in rows] for k in range(3)))]
    labelled = LabelledQuestions(Questions(*columns[:3]), columns[3])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        write_labelled(path, labelled)
        read = read_labelled(path)
        assert list(read.questions) == list(labelled.questions)
        assert list(read.label) == list(labelled.label)
        write_questions(path, labelled.questions)
        assert list(read_questions(path)) == list(labelled.questions)


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1)), max_size=20))
def test_numbers_survive_to_the_last_bit(rows):
    up, down = ([row[k] for row in rows] for k in range(2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        write_predictions(path, Predictions([str(i) for i in range(len(rows))], up, down))
        read = read_predictions(path)
    assert read.p_up.tolist() == up
    assert read.p_down.tolist() == down


def test_gene_names_that_look_missing(tmp_path):
    path = write(tmp_path, "pert,gene\nNA,nan\nnull,None\nN/A,NULL\n")
    questions = read_questions(path)
    assert list(questions.gene) == ["nan", "None", "NULL"]
    assert list(questions.id) == ["NA_nan", "null_None", "N/A_NULL"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\xef\xbb\xbf" + HEADER.encode() + b"NA,0.25,0.5\n", "bom.csv"),
        (HEADER.replace("\n", "\r\n").encode() + b"NA,0.25,0.5\r\n", "crlf.csv"),
        (HEADER.encode() + b"NA,0.25,0.5", "no-last-newline.csv"),
        (HEADER.encode() + b"\n\nNA,0.25,0.5\n\n", "blank-lines.csv"),
        (b'"id","prediction_up","prediction_down"\n"NA","0.25","0.5"\n', "quoted.csv"),
        (HEADER.encode() + b"NA, 0.25 ,0.5\n", "spaces-round-a-number.csv"),
        (gzip.compress(HEADER.encode() + b"NA,0.25,0.5\n", mtime=0), "packed.csv.gz"),
    ],
)
def test_common_dialects(tmp_path, content, name):
    read = read_predictions(write(tmp_path, content, name))
    assert (read.id.tolist(), read.p_up.tolist(), read.p_down.tolist()) == (["NA"], [0.25], [0.5])


def test_a_header_without_rows_is_an_empty_table(tmp_path):
    path = write(tmp_path, HEADER)
    assert len(read_predictions(path)) == 0
    assert len(read_questions(write(tmp_path, "id,pert,gene\n"))) == 0
    assert len(read_labelled(write(tmp_path, "id,label\n"))) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,0.1,0.2,0.3\n", r"every line needs 3 cells as the header has; got 4 \(line 2\)"),
        ("a,0.1,0.2\nb,0.1\n", r"every line needs 3 cells as the header has; got 2 \(line 3\)"),
        ("a,0.1,0.2\n\n\nb,x,0.2\n", r"prediction_up must be a number; got 'x' \(line 5\)"),
        ("a,,0.2\n", r"prediction_up must be a number; got '' \(line 2\)"),
        ("a,nan,0.2\n", "must be a number; got 'nan'"),
        ("a,inf,0.2\n", "must be a number; got 'inf'"),
        ("a,0.1,-Infinity\n", "prediction_down must be a number; got '-Infinity'"),
        ("a,1e400,0.2\n", "must be a number; got '1e400'"),
        ("a,True,0.2\n", "must be a number; got 'True'"),
        ("a,0x1,0.2\n", "must be a number; got '0x1'"),
        ("a,1_0,0.2\n", "must be a number; got '1_0'"),
        ('a,"0,5",0.2\n', "must be a number; got '0,5'"),
        (" a,0.1,0.2\n", r"id must not begin or end with a blank; got ' a' \(line 2\)"),
        (" ,0.1,0.2\n", "column id is blank on line 2"),
        ('"a,0.1,0.2\n', r"cannot be read as CSV: unexpected end of data \(line 2\)"),
    ],
)
def test_messages_name_file_line_and_column(tmp_path, content, message):
    path = write(tmp_path, HEADER + content)
    with pytest.raises(FormatError, match=message) as caught:
        read_predictions(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_line_numbers_count_lines_inside_cells(tmp_path):
    path = write(tmp_path, 'id,trace,prediction_up,prediction_down\na,"x\ny",0.1,0.2\n\nb,z,oops,0.2\n')
    with pytest.raises(FormatError, match=r"got 'oops' \(line 5\)"):
        read_predictions(path)
    assert [line_of(path, row) for row in (0, 1, 7)] == [2, 5, 9]
    assert line_of("a table in memory", 0) == 2


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "t.csv", "is empty; a header line is needed"),
        (b"\n\n", "t.csv", "is empty; a header line is needed"),
        (b"id,label\n\xe9,up\n", "t.csv", "must be UTF-8 text; byte 9 is not"),
        ("id,label\n".encode("utf-16"), "t.csv", "must be UTF-8 text"),
        (b"id,label,id\nx,up,y\n", "t.csv", "a column may stand once; 'id' stands 2 times"),
        (b"id;label\nx;up\n", "t.csv", "needs the column id; it has id;label"),
        (b"not packed", "t.csv.gz", "cannot be read as CSV"),
        (gzip.compress(b"id,label\n" * 999, mtime=0)[:-9], "t.csv.gz", "cannot be read as CSV"),
        (b"PK\x03\x04", "t.csv.zip", "needs the column id"),
    ],
)
def test_what_is_no_table(tmp_path, content, name, message):
    path = write(tmp_path, content, name)
    with pytest.raises(FormatError, match=message):
        read_table(path, required=("id", "label"))
    with pytest.raises(FormatError, match="no such file"):
        read_table(tmp_path / "nothing.csv")
    with pytest.raises(FormatError, match="is a folder; a file is needed"):
        read_table(tmp_path)


def test_a_cell_longer_than_the_csv_modules_limit(tmp_path):
    path = write(tmp_path, "id,trace\nx," + "a" * 300_000 + "\n")
    assert len(read_table(path)["trace"].iloc[0]) == 300_000


def test_repeated_and_unknown_ids(tmp_path):
    with pytest.raises(FormatError, match="an id may stand once; a stands again on line 4"):
        read_questions(write(tmp_path, "id,pert,gene\na,x,y\nb,x,z\na,x,y\n"))
    with pytest.raises(FormatError, match=r"id c_z \(line 3\) is not among the questions"):
        read_labelled(
            write(tmp_path, "id,label\na_x,up\nc_z,up\n"), questions=Questions.from_pairs(["a", "b"], ["x", "y"])
        )
    with pytest.raises(FormatError, match=r"got 'UP' \(row a_x\)"):
        read_labelled(write(tmp_path, "id,label\na_x,UP\n"))


def test_pairs_come_from_the_questions_or_from_plain_ids(tmp_path):
    path = write(tmp_path, "id,label\nNA_x,up\n")
    assert list(read_labelled(path).pert) == ["NA"]
    path = write(tmp_path, "id,label\nH2_K1_x,up\n")
    with pytest.raises(FormatError, match=r"the id H2_K1_x \(line 2\) does not tell them apart"):
        read_labelled(path)
    questions = Questions(["H2_K1_x"], ["H2_K1"], ["x"])
    assert list(read_labelled(path, questions=questions).pert) == ["H2_K1"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write(tmp_path, "old", "t.json")
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"x": math.nan})

    def interrupted() -> None:
        with atomic(path) as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writing_makes_folders_and_sets_usual_permissions(tmp_path):
    path = tmp_path / "new" / "folder" / "t.json"
    write_json(path, {"ä": [1, 2]})
    assert path.read_text(encoding="utf-8") == '{\n  "ä": [\n    1,\n    2\n  ]\n}\n'
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    with pytest.raises(InputError, match="cannot write"):
        write_json(plain / "below-a-file", {})


def test_sha256(tmp_path):
    path = write(tmp_path, b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
