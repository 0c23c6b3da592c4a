from __future__ import annotations

import importlib.util

import anndata as ad
import numpy as np
import pytest
import scanpy
import scipy.sparse as sp
from tests.screen.simulated import small_screen

from perturbarena.errors import InputError, MissingExtraError
from perturbarena.screen import from_anndata, select_genes


def screen_of(adata):
    return from_anndata(adata, perturbation="pert", control="control")


@pytest.fixture
def variable():
    """Genes 100 to 119 are on in a third of the cells and off in the others."""
    adata = small_screen()
    dense = adata.X.toarray()
    rng = np.random.default_rng(1)
    dense[:, 100:120] = np.where(rng.random((adata.n_obs, 20)) < 0.3, rng.poisson(20, (adata.n_obs, 20)), 0)
    adata.X = sp.csr_matrix(dense)
    return screen_of(adata)


@pytest.mark.parametrize("n", [None, 150, 999])
def test_all_genes(variable, n):
    chosen = select_genes(variable, n)
    assert np.array_equal(chosen.positions, np.arange(150))
    assert chosen.note == "all 150 genes"


def test_variable_genes_are_found_and_counts_left_alone(variable):
    before = variable.counts.copy()
    chosen = select_genes(variable, 20, flavor="seurat_v3")
    assert len(chosen.positions) == 20
    assert np.isin(np.arange(100, 120), chosen.positions).sum() >= 18
    assert "20 of 150 genes, highly variable by scanpy" in chosen.note
    assert chosen.note.endswith("seurat_v3")
    assert (variable.counts != before).nnz == 0
    assert variable.counts.dtype == before.dtype


def test_seurat_is_scanpys_on_log_normalised_counts(variable):
    chosen = select_genes(variable, 20, flavor="seurat")
    adata = ad.AnnData(variable.counts[np.diff(variable.counts.indptr) > 0].astype(np.float32))
    scanpy.pp.normalize_total(adata, target_sum=1e4)
    scanpy.pp.log1p(adata)
    scanpy.pp.highly_variable_genes(adata, n_top_genes=20, flavor="seurat")
    assert np.array_equal(chosen.positions, np.flatnonzero(adata.var["highly_variable"]))
    assert len(chosen.positions) == 20
    assert chosen.note.endswith("seurat")


def test_no_genes_are_refused(variable):
    with pytest.raises(InputError, match="must be positive; got 0"):
        select_genes(variable, 0)


@pytest.mark.parametrize(("missing", "named"), [("scanpy", "scanpy"), ("skmisc", "scikit-misc")])
def test_a_missing_extra_is_named(variable, monkeypatch, missing, named):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else real(name))
    with pytest.raises(MissingExtraError, match=rf"needs {named}.*perturbarena\[screen\]"):
        select_genes(variable, 10)
    if missing == "skmisc":
        assert len(select_genes(variable, 10, flavor="seurat").positions) == 10


def test_too_few_genes_are_refused():
    few = screen_of(small_screen(n_genes=3))
    with pytest.raises(InputError, match="seurat_v3 needs at least 30 genes with counts, got 3"):
        select_genes(few, 2)
    assert len(select_genes(few, 2, flavor="seurat").positions) >= 2


def test_a_failed_fit_is_refused_in_a_line(variable, monkeypatch):
    def fail(*_, **__):
        raise ValueError("svddc failed\nin l2fit.")

    monkeypatch.setattr(scanpy.pp, "highly_variable_genes", fail)
    with pytest.raises(InputError, match=r"seurat_v3 failed on 150 genes \(svddc failed in l2fit\.\)"):
        select_genes(variable, 2)
