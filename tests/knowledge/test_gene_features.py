import gzip

import numpy as np
import pytest

from perturbarena.errors import FormatError, InputError
from perturbarena.knowledge import (
    GeneFeatures,
    expression_features,
    gene_set_features,
    load_features,
    read_features,
)


def block(genes, matrix):
    return GeneFeatures("b", np.array(genes, object), np.array(matrix, float), "here")


def test_a_missing_gene_is_missing_and_not_a_row_of_zeros():
    features = block(["A", "B"], [[1, 2], [3, 4]])
    assert features.positions(["B", "X", "A"]).tolist() == [1, -1, 0]
    assert features.coverage(["A", "A", "X"]) == 0.5
    assert np.isnan(features.coverage([]))


@pytest.mark.parametrize(
    ("genes", "matrix", "message"),
    [
        (["A", "A"], [[1], [2]], "A stands again"),
        (["A"], [[np.nan]], "those of A are not"),
        (["A", "B"], [[1]], "shape"),
        (["A"], [[]], "at least one column"),
    ],
)
def test_refused_features(genes, matrix, message):
    with pytest.raises(InputError, match=message):
        block(genes, matrix)


@pytest.mark.parametrize(
    "text", ["gene,x,y\nNA,1,2\nB,3,4.5\n", "gene\tx\ty\nNA\t1\t2\nB\t3\t4.5\n", "x\ty\nNA\t1\t2\nB\t3\t4.5\n"]
)
def test_tables_with_commas_tabs_and_rs_short_header(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write(text)
    for path in (tmp_path / "t.csv", tmp_path / "t.csv.gz"):
        features = read_features(path)
        assert features.genes.tolist() == ["NA", "B"]
        assert features.matrix.tolist() == [[1, 2], [3, 4.5]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it has 0 lines"),
        ("gene,x\n", "it has 1 lines"),
        ("gene\nA\n", "at least one number"),
        ("gene,x\nA,1\nB,1,2\n", r"needs 2 cells; got 3 \(gene 'B'\)"),
        ("gene,x\nA,\n", "must be a number.*gene 'A'"),
        ("gene,x\nA,nan\n", "those of A are not"),
        ("gene,x\nA,1\nA,1\n", "A stands again"),
    ],
)
def test_a_bad_table_is_refused_on_one_line(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(FormatError, match=message) as refused:
        read_features(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"gene,x\nA\xff,1\n")
    (tmp_path / "t.csv.gz").write_bytes(b"no gzip")
    with pytest.raises(FormatError, match="UTF-8"):
        read_features(tmp_path / "t.csv")
    with pytest.raises(FormatError, match="cannot be read"):
        read_features(tmp_path / "t.csv.gz")
    with pytest.raises(FormatError, match="no such file"):
        read_features(tmp_path / "absent.csv")


def gmt(path, sets):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt") as file:
        file.writelines("\t".join([name, "", *genes]) + "\n" for name, genes in sets.items())
    return path


def test_gene_sets_keep_the_overlap_of_memberships(tmp_path):
    rng = np.random.default_rng(0)
    genes = np.array([f"G{i}" for i in range(12)])
    sets = {f"S{j}": sorted(rng.choice(genes, 5, replace=False)) for j in range(9)}
    found = gene_set_features([gmt(tmp_path / "a.gmt.gz", sets)], n_dimensions=8)
    membership = np.array([[gene in members for members in sets.values()] for gene in found.genes], float)
    truth = membership @ membership.T
    left, singular, _ = np.linalg.svd(membership, full_matrices=False)
    best = (left[:, :8] * singular[:8] ** 2) @ left[:, :8].T
    np.testing.assert_allclose(found.matrix @ found.matrix.T, best, atol=1e-9)
    assert np.abs(found.matrix @ found.matrix.T - truth).max() < 1.0


@pytest.mark.parametrize(
    ("text", "message"), [("", "no gene sets"), ("S\tx\n", r"line 1"), ("S\tx\tA\n", "at least 2 genes")]
)
def test_a_bad_gene_set_file(tmp_path, text, message):
    (tmp_path / "a.gmt").write_text(text)
    with pytest.raises(FormatError, match=message):
        gene_set_features([tmp_path / "a.gmt"])


@pytest.fixture
def folder(tmp_path):
    table = tmp_path / "k" / "expression_refs" / "mouse_two.tsv.gz"
    table.parent.mkdir(parents=True)
    with gzip.open(table, "wt") as file:
        file.write("T cells\tB cells\nA\t1\t2\nB\t2\t0\n")
    gmt(tmp_path / "k" / "msigdb_mouse_1" / "x.gmt.gz", {"S1": ["A", "B"], "S2": ["B", "C"], "S3": ["C", "D"]})
    return tmp_path / "k"


def test_a_folder_gives_its_blocks_and_says_what_it_lacks(folder):
    found = load_features(knowledge=folder)
    assert [b.name for b in found.blocks] == ["expression", "gene_sets", "annotations", "x"]
    assert found.notes == ()
    (folder / "expression_refs" / "mouse_two.tsv.gz").unlink()
    found = load_features(knowledge=folder)
    assert [b.name for b in found.blocks] == ["gene_sets", "annotations", "x"]
    assert "expression_refs" in found.notes[0]


def test_a_folder_without_knowledge(tmp_path, folder):
    with pytest.raises(FormatError, match="is no knowledge folder"):
        load_features(knowledge=tmp_path)
    with pytest.raises(FormatError, match="no such knowledge folder"):
        load_features(knowledge=tmp_path / "absent")
    with pytest.raises(InputError, match="are needed"):
        load_features()


def test_real_expression_has_every_cell_type(shared):
    found = expression_features(shared / "data/knowledge/expression_refs/mouse_rnaseq_28celltypes.tsv.gz")
    assert found.matrix.shape == (21214, 28)
    assert found.coverage(["Tlr4", "Irf3", "Il6"]) == 1.0
