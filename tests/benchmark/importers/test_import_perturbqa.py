"""PerturbQA's two files become one set: the rule, row by row, and the real files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.benchmark.folders import read_folder, read_solution
from perturbarena.benchmark.importers import import_perturbqa, merge_perturbqa, write_imported
from perturbarena.benchmark.importers.perturbqa import (
    NO_DIRECTION,
    NOT_ASKED,
    REASONS,
    REPEATED,
    TORN,
    TWO_SPLITS,
    UNMOVED,
)
from perturbarena.errors import FormatError, InputError

COLUMNS = ["pert", "gene", "label", "split"]
HEADER = "pert,gene,label,split\n"


def merge(de: list[tuple], direction: list[tuple]):
    tables = [pd.DataFrame(rows, columns=pd.Index(COLUMNS), dtype=object) for rows in (de, direction)]
    return merge_perturbqa(*tables, sources=("de.csv", "dir.csv"))


def test_two_files_give_three_labels():
    merged = merge(
        [("B", "X", "1", "test"), ("A", "NA", "0", "train"), ("A", "X", "1", "train")],
        [("A", "X", "0", "train"), ("B", "X", "1", "test")],
    )
    assert merged.table.values.tolist() == [
        ["A", "NA", "none", "train"],
        ["A", "X", "down", "train"],
        ["B", "X", "up", "test"],
    ]
    assert set(merged.left_out.values()) == {0}


@pytest.mark.parametrize(
    ("de", "direction", "reason"),
    [
        ([("A", "X", "1", "train")], [], NO_DIRECTION),
        ([], [("A", "X", "1", "train")], NOT_ASKED),
        ([("A", "X", "0", "train")], [("A", "X", "1", "train")], UNMOVED),
        ([("A", "X", "1", "train")], [("A", "X", "1", "test")], TWO_SPLITS),
        ([("A", "X", "1", "train"), ("A", "X", "0", "train")], [("A", "X", "1", "train")], TORN),
        ([("A", "X", "1", "train")], [("A", "X", "1", "train"), ("A", "X", "0", "train")], TORN),
    ],
)
def test_what_is_not_settled_is_left_out_and_counted(de, direction, reason):
    merged = merge([*de, ("K", "Y", "0", "test")], direction)
    assert merged.table["pert"].tolist() == ["K"]
    assert merged.left_out == dict.fromkeys(REASONS, 0) | {reason: 1}


def test_a_repeated_row_is_kept_once():
    merged = merge([("A", "X", "0", "train")] * 3, [])
    assert len(merged.table) == 1
    assert merged.left_out[REPEATED] == 2


rows = st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(["X", "NA"]), *[st.sampled_from("01")] * 2))


@given(rows, rows)
def test_the_merge_is_the_rule_applied_pair_by_pair(de, direction):
    splits = {"0": "train", "1": "test"}
    de, direction = ([(p, g, label, splits[s]) for p, g, label, s in given] for given in (de, direction))
    expected, dropped = [], 0
    for pair in sorted({row[:2] for row in (*de, *direction)}):
        said, way = ({row[2:] for row in given if row[:2] == pair} for given in (de, direction))
        if len(said) == 1 and not way and min(said)[0] == "0":
            expected.append([*pair, "none", min(said)[1]])
        elif len(said) == len(way) == 1 and min(said)[0] == "1" and min(said)[1] == min(way)[1]:
            expected.append([*pair, "up" if min(way)[0] == "1" else "down", min(way)[1]])
        else:
            dropped += 1
    merged = merge(de, direction)
    assert merged.table.values.tolist() == expected
    assert sum(n for reason, n in merged.left_out.items() if reason != REPEATED) == dropped


@pytest.fixture
def cells(tmp_path: Path) -> Path:
    (tmp_path / "c1-de.csv").write_text(HEADER + "A,X,1,train\nA,NA,0,train\nB,X,1,test\nB,Y,1,test\n")
    (tmp_path / "c1-dir.csv.gz").write_bytes(gzip.compress((HEADER + "A,X,1,train\nB,X,0,test\n").encode()))
    return tmp_path


def test_a_folder_keeps_its_split(cells, tmp_path):
    imported = import_perturbqa(cells, "c1")
    write_imported(imported, tmp_path / "bench", truth=tmp_path / "truth")
    folder = read_folder(tmp_path / "bench")
    assert folder.train.id.tolist() == ["A_NA", "A_X"]
    assert folder.train.label.tolist() == ["none", "up"]
    solution = read_solution(tmp_path / "truth", folder.hidden)
    assert solution.table().values.tolist() == [["B_X", "down", "Private"]]
    assert folder.record["rows"]["left_out"][NO_DIRECTION] == 1
    assert f"Left out, {NO_DIRECTION}: 1." in folder.card
    assert "Non-Commercial" in folder.stated("licence")


def test_hidden_labels_need_a_place(cells, tmp_path):
    imported = import_perturbqa(cells, "c1")
    with pytest.raises(InputError, match=r"1 hidden rows have labels; .*--truth"):
        write_imported(imported, tmp_path / "bench")
    with pytest.raises(InputError, match="must lie apart"):
        write_imported(imported, tmp_path / "bench", truth=tmp_path / "bench" / "truth")
    assert not (tmp_path / "bench").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A,X,1,train\nA,Y,2,train\n", r"label must be 0 or 1; got '2' \(line 3\)"),
        ("A,X,1,dev\n", r"split must be train or test; got 'dev' \(line 2\)"),
        ("B,X,0,train\nA,,0,train\n", r"c1-de.csv: column gene is blank on line 3"),
        ("A,X,0,test\n", "no training rows"),
    ],
)
def test_bad_cells(cells, text, message):
    (cells / "c1-de.csv").write_text(HEADER + text)
    (cells / "c1-dir.csv.gz").write_bytes(gzip.compress(HEADER.encode()))
    with pytest.raises(InputError, match=message):
        import_perturbqa(cells, "c1")


def test_an_unknown_cell_line(cells):
    with pytest.raises(FormatError, match=r"no k562-de.csv .*cell lines there: c1"):
        import_perturbqa(cells, "k562")


def test_the_real_hepg2(shared):
    imported = import_perturbqa(shared / "data" / "perturbqa", "hepg2")
    assert imported.label_counts() == {
        "train": {"up": 6249, "down": 8008, "none": 86883},
        "hidden": {"up": 1599, "down": 2004, "none": 22146},
    }
    assert set(imported.left_out.values()) == {0}
    assert not set(imported.train.pert) & set(imported.hidden.pert)
