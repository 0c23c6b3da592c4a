"""A challenge's published files: the same bytes on the other side."""

from __future__ import annotations

import json

import pytest

from perturbarena.benchmark.importers import import_published, write_imported
from perturbarena.errors import FormatError, InputError


@pytest.fixture
def published(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "train.csv").write_text("id,pert,gene,label,fdr\nA_X,A,X,up,0.1\n")
    (folder / "test.csv").write_text("id,pert,gene\nB_Y,B,Y\nB_X,B,X\n")
    return folder


def test_order_is_kept_and_surplus_columns_are_named(published, tmp_path):
    write_imported(import_published(published), tmp_path / "bench")
    assert (tmp_path / "bench" / "test.csv").read_bytes() == (published / "test.csv").read_bytes()
    assert (tmp_path / "bench" / "train.csv").read_text() == "id,pert,gene,label\nA_X,A,X,up\n"
    record = json.loads((tmp_path / "bench" / "benchmark.json").read_text())
    assert (record["format_version"], record["kind"], record["about"]["title"]) == (1, "imported", "published")
    assert "Columns of train.csv that were left out: fdr." in record["notes"]


def test_a_solution_goes_to_the_truth(published, tmp_path):
    (tmp_path / "solution.csv").write_text("id,label,Usage\nB_X,none,Public\nB_Y,down,Private\n")
    imported = import_published(published, solution=tmp_path / "solution.csv")
    write_imported(imported, tmp_path / "bench", truth=tmp_path / "truth")
    assert (tmp_path / "truth" / "solution.csv").read_text() == (
        "id,label,Usage\nB_Y,down,Private\nB_X,none,Public\n"
    )


def test_a_truth_without_labels_is_refused(published, tmp_path):
    with pytest.raises(InputError, match="labels no hidden row"):
        write_imported(import_published(published), tmp_path / "bench", truth=tmp_path / "truth")


def test_a_missing_test_file(published):
    (published / "test.csv").unlink()
    with pytest.raises(FormatError, match=r"no such file: .*test.csv"):
        import_published(published)


def test_the_real_files_come_out_byte_for_byte(shared, tmp_path):
    source = shared / "data" / "bioreasoning"
    imported = import_published(source)
    write_imported(imported, tmp_path / "bench")
    for name in ("train.csv", "test.csv"):
        assert (tmp_path / "bench" / name).read_bytes() == (source / name).read_bytes()
    assert imported.label_counts() == {"train": {"up": 2359, "down": 1086, "none": 4260}}
    assert "BioReasoning" in imported.source.title
