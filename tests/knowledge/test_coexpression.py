import sys

import numpy as np
import pytest

from perturbarena.errors import FormatError, MissingExtraError
from perturbarena.knowledge import coexpression_features

anndata = pytest.importorskip("anndata")


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    drive = np.repeat(rng.normal(size=(60, 2)), 5, axis=1)  # genes 0–4 move together, 5–9 move together
    return rng.poisson(np.exp(2 + 0.6 * drive))


def write(path, matrix, names=None):
    cells = anndata.AnnData(np.asarray(matrix, float))
    cells.var_names = [f"G{i}" for i in range(cells.n_vars)] if names is None else names
    cells.write_h5ad(path)
    return path


def test_products_of_loadings_are_correlations(tmp_path, counts):
    found = coexpression_features(write(tmp_path / "c.h5ad", counts), n_dimensions=9)
    logged = np.log1p(counts / counts.sum(1, keepdims=True) * np.median(counts.sum(1)))
    z = (logged - logged.mean(0)) / logged.std(0)
    correlation = z.T @ z / len(z)
    values, vectors = np.linalg.eigh(correlation)
    best = (vectors[:, 1:] * values[1:]) @ vectors[:, 1:].T
    np.testing.assert_allclose(found.matrix @ found.matrix.T, best, atol=1e-9)
    two = coexpression_features(tmp_path / "c.h5ad", n_dimensions=1).matrix[:, 0]
    assert len(set(np.sign(two[:5]))) == len(set(np.sign(two[5:]))) == 1


def test_a_gene_hardly_seen_is_missing(tmp_path, counts):
    counts[:, 3] = 0
    counts[:4, 3] = 1
    counts[:, 7] = 0
    found = coexpression_features(write(tmp_path / "c.h5ad", counts))
    assert found.genes.tolist() == ["G0", "G1", "G2", "G4", "G5", "G6", "G8", "G9"]


def test_values_that_are_no_counts_are_taken_as_logged(tmp_path, counts):
    logged = np.log1p(counts / counts.sum(1, keepdims=True) * np.median(counts.sum(1)))
    a = coexpression_features(write(tmp_path / "counts.h5ad", counts)).matrix
    b = coexpression_features(write(tmp_path / "logged.h5ad", logged)).matrix
    np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-6)


def test_refused_files(tmp_path, counts):
    (tmp_path / "text.h5ad").write_text("no")
    with pytest.raises(FormatError, match="cannot be read as h5ad"):
        coexpression_features(tmp_path / "text.h5ad")
    with pytest.raises(FormatError, match="no such file"):
        coexpression_features(tmp_path / "absent.h5ad")
    with pytest.raises(FormatError, match="not negative"):
        coexpression_features(write(tmp_path / "negative.h5ad", -counts))
    with pytest.raises(FormatError, match="0 such genes"):
        coexpression_features(write(tmp_path / "flat.h5ad", np.ones((10, 3))))


def test_without_anndata_the_message_says_what_to_install(tmp_path, counts, monkeypatch):
    path = write(tmp_path / "c.h5ad", counts)
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(MissingExtraError, match=r"perturbarena\[screen\]"):
        coexpression_features(path)
