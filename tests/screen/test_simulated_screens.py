"""Simulated screens: what they promise, and that effects estimated from them are the true ones."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from perturbarena.errors import InputError
from perturbarena.screen import (
    EffectSettings,
    SimulationSettings,
    estimate_effects,
    from_anndata,
    read_screen,
    simulate_screen,
    write_simulation,
)
from perturbarena.screen.network import (
    Genes,
    draw_genes,
    draw_network,
)
from perturbarena.screen.sampling import CellPlan, draw_counts
from perturbarena.screen.symbols import gene_symbols

SMALL = SimulationSettings(perturbations=8, genes=300, control_cells=600, counts_per_gene=1.5)
COLUMNS = {"perturbation": "perturbation", "control": "control", "batch": "batch", "guide": "guide"}


@pytest.fixture(scope="module")
def small():
    return simulate_screen(np.random.default_rng(7), SMALL)


def test_screen_has_the_shape_that_was_asked_for(small):
    assert small.counts.shape == (8 * 100 + 600, 300)
    assert small.counts.dtype == small.counts.indices.dtype == np.int32
    names, cells = np.unique(small.perturbation, return_counts=True)
    assert dict(zip(names, cells, strict=True)) == {"control": 600} | dict.fromkeys(small.perturbations, 100)
    controls = small.perturbation == "control"
    assert len(np.unique(small.guide[controls])) == 40
    assert len(np.unique(small.guide[~controls])) == 8 * 4
    assert all(
        g.startswith(f"{p}_") for g, p in zip(small.guide[~controls], small.perturbation[~controls], strict=True)
    )
    assert len(np.unique(small.batch)) == 4
    assert np.isin(small.perturbations, small.genes).sum() == round(0.8 * 8)


def test_counts_are_canonical(small):
    assert small.counts.data.min() >= 1
    assert small.counts.has_canonical_format


def test_cells_stand_in_no_order(small):
    changes = (small.perturbation[1:] != small.perturbation[:-1]).mean()
    assert changes > 0.6


def test_same_seed_same_screen_whatever_the_block(small):
    again = simulate_screen(np.random.default_rng(7), SMALL, block=113)
    assert (again.counts != small.counts).nnz == 0
    assert (again.guide == small.guide).all()
    assert (again.log2fc == small.log2fc).all()
    other = simulate_screen(np.random.default_rng(8), SMALL)
    assert (other.counts != small.counts).nnz > 0


def test_files_are_read_as_a_screen_and_hold_no_truth(small, tmp_path):
    truth_path = write_simulation(tmp_path / "sim.h5ad", small)
    assert truth_path == tmp_path / "sim.truth.h5ad"
    screen = read_screen(tmp_path / "sim.h5ad", **COLUMNS)
    assert (screen.counts != small.counts).nnz == 0
    assert list(screen.genes) == list(small.genes)
    held = ad.read_h5ad(tmp_path / "sim.h5ad")
    assert set(held.obs) == {"perturbation", "guide", "batch"}
    assert [len(part) for part in (held.var.columns, held.uns, held.layers, held.obsm, held.varm)] == [0] * 5
    truth = ad.read_h5ad(truth_path)
    np.testing.assert_array_equal(truth.layers["log2fc"], small.log2fc)
    assert list(truth.obs_names) == list(small.perturbations)
    assert list(truth.var_names) == list(small.genes)
    assert truth.uns["guides"]["efficiency"].between(0, 1).all()


def test_estimated_effects_are_the_true_ones(small):
    table = estimate_effects(from_anndata(small.to_anndata(), **COLUMNS), workers=1)
    assert list(table.obs_names) == list(small.perturbations)
    estimate, error = np.asarray(table.layers["log2fc"]), np.asarray(table.layers["se_log2fc"])
    sure = np.isfinite(estimate) & (error < 0.25)
    assert sure.mean() > 0.3
    assert np.corrcoef(estimate[sure], small.log2fc[sure])[0, 1] > 0.8
    slope = stats.linregress(small.log2fc[sure], estimate[sure]).slope
    assert 0.8 < slope < 1.1  # ambient counts draw estimates towards nothing


def test_control_guides_do_nothing(small):
    controls = small.to_anndata()[small.perturbation == "control"].copy()
    number = np.array([int(g.rsplit("_")[-1]) for g in controls.obs["guide"]])
    controls.obs["perturbation"] = np.where(number <= 24, [f"null{n // 4}" for n in number], "control")
    table = estimate_effects(
        from_anndata(controls, perturbation="perturbation", control="control", batch="batch"),
        settings=EffectSettings(controls=None),
        workers=1,
    )
    p = np.asarray(table.layers["pvalue"])
    p = p[np.isfinite(p)]
    assert len(p) > 1000
    assert 0.03 < (p < 0.05).mean() < 0.07
    assert (np.asarray(table.layers["fdr"]) < 0.05).sum() <= 2


@pytest.mark.parametrize("mean", [0.05, 1.0, 3.9, 4.1, 60.0])
def test_counts_are_negative_binomial(mean):
    n_cells, dispersion = 1000, 0.5
    settings = SimulationSettings(genes=20, ambient=0.0)
    genes = Genes(
        modules=np.zeros((20, 2), int),
        loadings=np.zeros((20, 2), np.float32),
        response=np.ones(20),
        share=np.full(20, 1 / 20),
        dispersion=np.full(20, dispersion),
    )
    plan = CellPlan(
        perturbation=np.full(n_cells, -1),
        guide=np.zeros(n_cells, int),
        efficiency=np.zeros(n_cells, np.float32),
        batch=np.zeros(n_cells, int),
        depth=np.full(n_cells, 20 * mean, np.float32),
        state=np.zeros((n_cells, 1), np.float32),
    )
    counts = draw_counts(
        np.random.default_rng(3),
        plan,
        genes=genes,
        log2fc=np.zeros((1, 20), np.float32),
        batch_effect=np.zeros((1, 20), np.float32),
        settings=settings,
    )
    drawn = counts.toarray().ravel()
    law = stats.nbinom(1 / dispersion, 1 / (1 + dispersion * mean))
    edges = np.unique(law.ppf(np.linspace(0.02, 0.98, 12)).astype(int))
    expected = np.diff([0, *law.cdf(edges), 1]) * drawn.size
    observed = np.bincount(np.searchsorted(edges, drawn), minlength=len(edges) + 1)
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_number_of_callable_genes_has_the_published_distribution():
    settings = SimulationSettings(perturbations=300, genes=10_000)
    rng = np.random.default_rng(0)
    genes = draw_genes(rng, settings)
    network = draw_network(rng, genes, own=np.full(300, -1), efficiency=np.full(300, 0.75), settings=settings)
    low, median, high = np.quantile(network.expected_called, [0.25, 0.5, 0.75])
    assert 40 < low < 80
    assert 150 < median < 240
    assert 380 < high < 680
    answers = (np.abs(network.log2fc) > 1).sum(axis=0)
    assert np.sort(answers)[-500:].mean() > 2.5 * answers.mean()  # hubs


def test_knockouts_of_a_module_act_alike():
    settings = SimulationSettings(perturbations=60, genes=500, modules=5, measured_share=1.0)
    rng = np.random.default_rng(2)
    genes = draw_genes(rng, settings)
    network = draw_network(rng, genes, own=np.arange(60), efficiency=np.ones(60), settings=settings)
    alike = stats.spearmanr(network.log2fc, axis=1).statistic
    same = network.module[:, None] == network.module[None, :]
    apart = ~np.eye(60, dtype=bool)
    assert alike[same & apart].mean() > alike[~same].mean() + 0.15


@pytest.mark.parametrize(("knockdown", "falls"), [(2.0, True), (None, False)])
def test_own_transcript(knockdown, falls):
    settings = SMALL.model_copy(update={"knockdown": knockdown, "measured_share": 1.0})
    screen = simulate_screen(np.random.default_rng(1), settings)
    own = screen.log2fc[np.arange(8), [list(screen.genes).index(p) for p in screen.perturbations]]
    assert (own < -0.4).all() == falls
    assert (np.abs(own) < 0.4).all() == (not falls)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"control_guides": 601}, "601 control guides need at least as many control cells; got 600"),
        ({"modules": 301}, "301 modules need at least as many genes; got 300"),
        ({"perturbations": 400}, "320 knocked-out genes cannot be among 300 measured genes"),
        ({"cells_per_perturbation": 1, "counts_per_gene": 0.001}, "could be called with 1 cell a p"),
    ],
)
def test_settings_that_cannot_be(change, message):
    with pytest.raises(InputError, match=message):
        simulate_screen(np.random.default_rng(0), SMALL.model_copy(update=change))


def test_only_h5ad_is_written(small, tmp_path):
    with pytest.raises(InputError, match=r"name ends in \.h5ad; got sim\.csv"):
        write_simulation(tmp_path / "sim.csv", small)


def test_symbols_are_different():
    symbols = gene_symbols(np.random.default_rng(0), 20_000)
    assert len(np.unique(np.char.lower(symbols))) == len(symbols) == 20_000


def test_counts_have_no_stored_zeros(small):
    dense = sp.csr_matrix(small.counts.toarray())
    assert dense.nnz == small.counts.nnz
