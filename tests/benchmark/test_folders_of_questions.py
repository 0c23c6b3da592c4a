"""Folders of question sets: read strictly, and there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from perturbarena.benchmark.folders import keep_apart, read_folder, read_solution, whole_folders
from perturbarena.errors import FormatError, InputError

TRAIN = "id,pert,gene,label\nA_X,A,X,up\nA_NA,A,NA,none\n"
TEST = "id,pert,gene\nB_Y,B,Y\nB_Z,B,Z\n"
SOLUTION = "id,label,Usage\nB_Z,down,Private\nB_Y,up,Public\n"


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    folder = tmp_path / "bench"
    folder.mkdir()
    (folder / "train.csv").write_text(TRAIN)
    (folder / "test.csv").write_text(TEST)
    return folder


def test_a_folder_and_its_solution_in_the_questions_order(bench, tmp_path):
    (tmp_path / "solution.csv").write_text(SOLUTION)
    folder = read_folder(bench)
    solution = read_solution(tmp_path, folder.hidden)
    assert folder.train.gene.tolist() == ["X", "NA"]
    assert solution.table().values.tolist() == [["B_Y", "up", "Public"], ["B_Z", "down", "Private"]]
    assert folder.record == {}
    assert folder.stated("licence") == ""


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("test.csv", "id,pert,gene,label\nB_Y,B,Y,up\n", "it has label"),
        ("test.csv", "id,pert,gene\n", r"needs rows in train.csv and test.csv; got 2 and 0"),
        ("test.csv", "id,pert,gene\nA_X,A,X\n", "1 ids stand in train.csv and in test.csv, e.g. A_X"),
        ("benchmark.json", "[1]", "one JSON object; got list"),
        ("benchmark.json", "{", "is not JSON"),
    ],
)
def test_a_broken_folder_is_refused(bench, file, text, message):
    (bench / file).write_text(text)
    with pytest.raises(FormatError, match=message):
        read_folder(bench)


def test_a_card_that_is_not_text(bench):
    (bench / "README.md").write_bytes(b"ab\xff")
    with pytest.raises(FormatError, match="byte 2 is not"):
        read_folder(bench)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SOLUTION.replace("Public", "public"), r"Usage must be Public or Private; got 'public' \(line 3\)"),
        ("id,label,Usage\nB_Y,up,Public\n", "1 are missing, e.g. B_Z"),
        (SOLUTION + "C_Q,up,Public\n", r"C_Q \(line 4\) is not among"),
        ("id,label\nB_Y,up\n", "needs the column Usage"),
    ],
)
def test_a_broken_solution_is_refused(bench, tmp_path, text, message):
    (tmp_path / "solution.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_solution(tmp_path / "solution.csv", read_folder(bench).hidden)


def test_folders_appear_together(tmp_path):
    a, b = tmp_path / "deep" / "a", tmp_path / "b"
    b.mkdir()
    with whole_folders(a, b) as (part_a, part_b):
        (part_a / "x").write_text("1")
        (part_b / "y").write_text("2")
        assert not a.exists()
    assert (a / "x").read_text() + (b / "y").read_text() == "12"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "deep"]


def test_nothing_is_left_when_the_writing_fails(tmp_path):
    def write() -> None:
        with whole_folders(tmp_path / "a", tmp_path / "b") as parts:
            (parts[0] / "x").write_text("1")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_when_the_second_name_is_taken_meanwhile(tmp_path):
    with pytest.raises(InputError, match="cannot write"), whole_folders(tmp_path / "a", tmp_path / "b"):
        (tmp_path / "b").write_text("a file")
    assert not (tmp_path / "a").exists()


def test_what_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "kept").write_text("1")
    with pytest.raises(InputError, match="is there already"), whole_folders(tmp_path):
        pass
    assert (tmp_path / "kept").read_text() == "1"


@pytest.mark.parametrize("inner", [".", "truth", "deep/truth"])
def test_a_truth_inside_what_is_handed_out(tmp_path, inner):
    with pytest.raises(InputError, match="must lie apart"):
        keep_apart(tmp_path / inner, tmp_path)
    keep_apart(tmp_path / "bench", tmp_path / "bench-truth")
