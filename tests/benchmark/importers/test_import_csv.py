"""Any CSV: by map, with lines in messages, and with nothing of hidden labels in the public folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from perturbarena.benchmark.importers import import_csv, read_map, write_imported
from perturbarena.errors import FormatError, InputError

TEXT = "target,KO,change,fold\nY,B,0,eval\nX,A,1,fit\nNA,A,-1,fit\nX,B,1,dev\nZ,B,1,eval\n"
HOW = {
    "columns": ["pert=KO,gene=target", "label=change,split=fold"],
    "labels": ["up=1,down=-1,none=0"],
    "splits": ["train=fit,validation=dev,test=eval"],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "my.csv").write_text(TEXT)
    return tmp_path / "my.csv"


def test_columns_labels_and_splits_by_map(file):
    imported = import_csv(file, how=read_map(**HOW))
    assert imported.train.id.tolist() == ["A_NA", "A_X"]
    assert imported.train.label.tolist() == ["down", "up"]
    assert imported.solution is not None
    assert imported.solution.table().values.tolist() == [
        ["B_X", "up", "Public"],
        ["B_Y", "none", "Private"],
        ["B_Z", "up", "Private"],
    ]


def test_our_own_names_need_no_map_and_ids_are_kept(tmp_path):
    (tmp_path / "own.csv").write_text("id,pert,gene,label,other\nq7,B,X,up,1\nq2,A,X,none,2\n")
    imported = import_csv(tmp_path / "own.csv", how=read_map(), title="Mine", licence="MIT")
    assert imported.train.id.tolist() == ["q2", "q7"]
    assert (len(imported.hidden), imported.solution) == (0, None)
    write_imported(imported, tmp_path / "bench")
    assert sorted(p.name for p in (tmp_path / "bench").iterdir()) == ["README.md", "benchmark.json", "train.csv"]


def test_several_values_may_mean_one_label(tmp_path):
    (tmp_path / "own.csv").write_text("pert,gene,label\nB,X,NS\nA,X,0\n")
    imported = import_csv(tmp_path / "own.csv", how=read_map(labels=["none=NS,none=0", "up=1"]))
    assert imported.label_counts()["train"] == {"up": 0, "down": 0, "none": 2}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("NA,A,-1", "NA,A,2", r"label must be one of 1, -1, 0; got '2' \(line 4\); --labels"),
        ("X,B,1,dev", "X,B,1,late", r"split must be one of fit, dev, eval; got 'late' \(line 5\); --splits"),
        ("X,B,1,dev", ",B,1,dev", "column gene is blank on line 5"),
        ("X,B,1,dev", "X,B,1", r"needs 4 cells .*\(line 5\)"),
        ("Z,B,1,eval", "Y,B,0,eval", "B_Y stands again on line 6"),
        ("KO", "ko", r"needs the column KO for pert \(--map pert=…\); it has target, ko"),
    ],
)
def test_messages_name_the_line(file, old, new, message):
    file.write_text(TEXT.replace(old, new))
    with pytest.raises(FormatError, match=message):
        import_csv(file, how=read_map(**HOW))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": ["knockout=KO"]}, r"--map needs parts NAME=VALUE .*; got 'knockout=KO'"),
        ({"labels": ["up"]}, "--labels needs parts NAME=VALUE"),
        ({"labels": ["up=1,down=1"]}, "--labels gives '1' two meanings: up and down"),
        ({"columns": ["pert=a,pert=b"]}, "--map gives 'pert' two meanings: a and b"),
        ({"splits": ["private=x"]}, "NAME of train, validation, test"),
    ],
)
def test_a_map_that_cannot_be_meant(given, message):
    with pytest.raises(InputError, match=message):
        read_map(**given)


def test_the_public_folder_does_not_depend_on_hidden_labels(file, tmp_path):
    """Byte for byte: whatever the hidden rows' labels are, what is published is the same."""
    for name, text in (("one", TEXT), ("two", TEXT.replace("Y,B,0", "Y,B,1").replace("X,B,1", "X,B,-1"))):
        file.write_text(text)
        write_imported(import_csv(file, how=read_map(**HOW)), tmp_path / name, truth=tmp_path / f"{name}-truth")
    public, other = (
        {p.name: p.read_bytes() for p in sorted((tmp_path / name).iterdir())} for name in ("one", "two")
    )
    assert public == other
    truths = [(tmp_path / name / "solution.csv").read_bytes() for name in ("one-truth", "two-truth")]
    assert truths[0] != truths[1]
