import gzip

import numpy as np
import pytest

from perturbarena.errors import FormatError, InputError
from perturbarena.knowledge import load_features, read_elsewhere, read_orthologs, read_screen

HUMAN = {f"P{i}": f"HP{i}" for i in range(60)} | {f"G{i}": f"HG{i}" for i in range(80)}


def write(path, header, rows):
    with gzip.open(path, "wt") as file:
        file.writelines(",".join(map(str, row)) + "\n" for row in [header, *rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two lines in which knockouts of one half move the genes of one half, up in the first quarter."""
    folder = tmp_path_factory.mktemp("perturbqa")
    rng = np.random.default_rng(0)
    for line in ("k562", "rpe1"):
        pairs = [(p, g) for p in range(60) for g in rng.choice(80, 30, replace=False)]
        moved = [(p < 30) == (g < 40) for p, g in pairs]
        de = [(f"HP{p}", f"HG{g}", int(m), "train") for (p, g), m in zip(pairs, moved, strict=True)]
        goes = [(f"HP{p}", f"HG{g}", int(g % 2), "train") for (p, g), m in zip(pairs, moved, strict=True) if m]
        write(folder / f"{line}-de.csv.gz", ("pert", "gene", "label", "split"), de)
        write(folder / f"{line}-dir.csv.gz", ("pert", "gene", "label", "split"), goes)
    return folder


def test_effects_elsewhere_are_rebuilt_for_pairs(folder):
    found = read_elsewhere(folder, HUMAN)
    pert, gene = np.array([f"P{i}" for i in range(60)] * 80, object), np.repeat([f"G{i}" for i in range(80)], 60)
    values = found.pairs.pair_values(pert, gene.astype(object))
    assert values.shape == (4800, found.pairs.n_columns)
    moved = (np.array([int(p[1:]) < 30 for p in pert])) == (np.array([int(g[1:]) < 40 for g in gene]))
    assert values[moved, 1].mean() > 0 > values[~moved, 1].mean()
    tested = np.isfinite(values[:, 0])
    assert 0.5 < tested.mean() < 0.7
    assert values[tested & moved, 0].min() > values[tested & ~moved, 0].max()


def test_what_is_not_known_stays_missing(folder):
    found = read_elsewhere(folder, HUMAN)
    values = found.pairs.pair_values(np.array(["P1", "Nobody"], object), np.array(["Nothing", "G1"], object))
    assert np.isnan(values).all()
    assert found.pairs.coverage(["P1", "G1", "Nobody"]) == pytest.approx(2 / 3)
    assert found.knockouts.positions(["P1", "G1"]).tolist()[1] == -1
    assert found.responses.coverage(["G1"]) == 1.0


def test_a_screen_as_questions_under_the_other_names(folder):
    rows = read_screen(folder, "k562", HUMAN)
    assert len(rows) == 1800
    odd = np.array([int(g[1:]) % 2 for g in rows.gene], bool)
    assert set(rows.label[rows.is_de & odd]) == {"up"}
    assert set(rows.label[rows.is_de & ~odd]) == {"down"}
    with pytest.raises(FormatError, match="orthologue"):
        read_screen(folder, "k562", {"P1": "TP53"})


def test_orthologues_of_several_the_best_supported(tmp_path):
    path = tmp_path / "o.tsv"
    path.write_text("human_symbol\tmouse_symbol\tsupport_n\nB\tm\t3\nA\tm\t9\nC\tm\t9\nD\tn\t1\n")
    assert read_orthologs(path) == {"m": "A", "n": "D"}
    path.write_text("human_symbol\tmouse_symbol\tsupport_n\nB\tm\tmany\n")
    with pytest.raises(FormatError, match=r"must be a number.*line 2"):
        read_orthologs(path)
    path.write_text("human_symbol\tmouse_symbol\nB\tm\n")
    with pytest.raises(FormatError, match="lacks support_n"):
        read_orthologs(path)


def test_refused_tables(tmp_path, folder):
    with pytest.raises(FormatError, match="no such folder"):
        read_elsewhere(tmp_path / "absent", HUMAN)
    with pytest.raises(FormatError, match="has no table"):
        read_elsewhere(tmp_path, HUMAN)
    with pytest.raises(InputError, match="needs orthologues"):
        load_features(features=tmp_path / "f.csv", elsewhere=folder)
    write(tmp_path / "a-de.csv.gz", ("pert", "gene", "label"), [("X", "Y", 2)])
    with pytest.raises(FormatError, match=r"must be 0 or 1.*line 2"):
        read_elsewhere(tmp_path, HUMAN)
