import numpy as np
import pytest

from perturbarena.errors import FormatError
from perturbarena.knowledge import annotation_features, read_collection


@pytest.fixture
def collection(tmp_path):
    path = tmp_path / "m5.go.cc.mm.gmt"
    path.write_text("SMALL\tx\tA\tB\nLARGE\tx\tA\tB\tC\tD\nLONE\tx\tE\nPAIR\tx\tC\tD\n")
    return read_collection(path)


def test_a_collection_is_named_after_its_file_and_knows_its_genes(collection):
    assert collection.name == "m5.go.cc"
    assert collection.positions(["A", "Zzz"])[1] == -1
    assert collection.coverage(["A", "Zzz"]) == 0.5
    assert dict(zip(collection.set_names, collection.sizes, strict=True)) == {
        "SMALL": 2, "LARGE": 4, "LONE": 1, "PAIR": 2,
    }  # fmt: skip


def test_shared_sets_the_smallest_first(collection):
    assert collection.shared("A", "B") == [("SMALL", 2), ("LARGE", 4)]
    assert collection.shared("A", "E") == []
    assert collection.shared("A", "Zzz") == []


def test_pair_values_by_hand_and_missing_where_a_gene_is_in_no_set(collection):
    pert, gene = np.array(["A", "A", "A", "A"], object), np.array(["B", "C", "E", "Zzz"], object)
    cosine, weight = collection.pair_values(pert, gene).T
    small, large = np.log(5 / 2), np.log(5 / 4)
    np.testing.assert_allclose(cosine[:3], [1.0, large / (small + large), 0.0])
    np.testing.assert_allclose(weight[:3], np.log1p([100 / 2 + 100 / 4, 100 / 4, 0.0]))
    assert np.isnan([cosine[3], weight[3]]).all()


def test_pair_values_do_not_depend_on_which_gene_comes_first(collection):
    names = np.array(["A", "B", "C", "D", "E"], object)
    one, other = np.repeat(names, 5), np.tile(names, 5)
    np.testing.assert_allclose(collection.pair_values(one, other), collection.pair_values(other, one))


def test_annotations_count_sets_and_leave_unknown_genes_out(collection):
    found = annotation_features([collection])
    assert found.genes.tolist() == ["A", "B", "C", "D", "E"]
    np.testing.assert_allclose(found.matrix[:, 0], np.log1p([2, 2, 2, 2, 1]))


@pytest.mark.parametrize(("text", "message"), [("", "no gene sets"), ("S\tx\tA\n", "at least 2 genes")])
def test_refused_collections(tmp_path, text, message):
    (tmp_path / "a.gmt").write_text(text)
    with pytest.raises(FormatError, match=message):
        read_collection(tmp_path / "a.gmt")
