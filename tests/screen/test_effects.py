from __future__ import annotations

import numpy as np
import pytest
from tests.screen.simulated import small_screen

from perturbarena.errors import FormatError, InputError
from perturbarena.screen import EffectSettings, blocks, estimate_effects, from_anndata, read_effect_table
from perturbarena.screen.cells import Cells, Controls
from perturbarena.screen.table import LAYERS, write_effect_table

ALL = EffectSettings(controls=None, min_cells=1)
COLUMNS = {"perturbation": "pert", "control": "control", "batch": "batch"}


def table_of(adata, **changes):
    return estimate_effects(adata, **COLUMNS, settings=ALL.model_copy(update=changes))


def test_the_planted_effect_is_found_and_nothing_else():
    table = table_of(small_screen())
    assert list(table.obs_names) == ["A", "B", "C"]
    assert set(table.layers) == set(LAYERS)
    assert table.to_df("log2fc").loc["A", "g0"] == pytest.approx(-2.0, abs=0.5)
    significant = table.to_df("fdr") < 0.05
    assert significant.loc["A", "g0"]
    assert significant.to_numpy().sum() <= 3


def test_shrinkage_draws_towards_zero_and_keeps_signs():
    table = table_of(small_screen())
    raw, shrunk = table.layers["log2fc"], table.layers["log2fc_shrunk"]
    assert np.all(np.abs(shrunk) <= np.abs(raw) + 1e-6)
    assert np.all(raw * shrunk >= 0)


def test_the_number_of_threads_changes_nothing():
    one, two = (estimate_effects(small_screen(), **COLUMNS, settings=ALL, workers=n) for n in (1, 2))
    for layer in LAYERS:
        assert np.array_equal(one.layers[layer], two.layers[layer])


def test_one_perturbation_does_not_depend_on_the_others():
    adata = small_screen()
    alone = table_of(adata[(adata.obs["pert"] == "control") | (adata.obs["pert"] == "B")].copy())
    together = table_of(adata)
    np.testing.assert_allclose(alone.to_df("pvalue").loc["B"], together.to_df("pvalue").loc["B"], rtol=1e-7)


def test_the_unit_of_size_factors_does_not_matter():
    adata = small_screen()
    adata.obs["depth"] = np.asarray(adata.X.sum(axis=1)).ravel()
    adata.obs["scaled"] = adata.obs["depth"] * 37.0
    by_total = table_of(adata)
    for column in ("depth", "scaled"):
        given = estimate_effects(adata, **COLUMNS, size_factors=column, settings=ALL)
        np.testing.assert_allclose(given.layers["log2fc"], by_total.layers["log2fc"], atol=1e-5)


def test_a_small_perturbation_is_kept_as_nan_with_its_reason():
    adata = small_screen()
    few = np.flatnonzero(adata.obs["pert"] == "C")[5:]
    adata = adata[np.setdiff1d(np.arange(adata.n_obs), few)].copy()
    table = table_of(adata, min_cells=10)
    assert "too few cells: 5" in table.obs.loc["C", "reason"]
    assert np.isnan(table.to_df("log2fc_shrunk").loc["C"]).all()
    assert not np.isnan(table.to_df("log2fc_shrunk").loc[["A", "B"]]).to_numpy().any()
    with pytest.raises(InputError, match="at least 1000 control cells are needed"):
        table_of(adata, min_cells=1000)


def test_cells_of_a_batch_without_controls_do_not_move_the_fold_change_far():
    adata = small_screen()
    kept = ~((adata.obs["pert"] == "control") & (adata.obs["batch"] == "b1"))
    confounded = adata[kept.to_numpy()].copy()
    paired = confounded[(confounded.obs["batch"] == "b0").to_numpy()].copy()
    a, b = table_of(confounded).to_df("log2fc"), table_of(paired).to_df("log2fc")
    assert np.median(np.abs(a - b)) < 0.02


def test_an_interrupted_run_goes_on_where_it_stood(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1)
    tested = []
    test = Controls.test
    monkeypatch.setattr(Controls, "test", lambda self, rows: tested.append(rows) or test(self, rows))
    path = tmp_path / "out.h5ad"

    def stop_after_two(done: int, total: int) -> None:
        assert total == 3
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimate_effects(small_screen(), **COLUMNS, settings=ALL, checkpoint=path, progress=stop_after_two)
    assert len(tested) == 2
    assert not path.exists()
    resumed = estimate_effects(small_screen(), **COLUMNS, settings=ALL, checkpoint=path)
    assert len(tested) == 3
    assert list(tmp_path.iterdir()) == []
    for layer in LAYERS:
        assert np.array_equal(resumed.layers[layer], table_of(small_screen()).layers[layer])


def test_other_settings_do_not_pick_up_a_partial_result(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    for seed in (0, 1):
        with pytest.raises(KeyboardInterrupt):
            estimate_effects(
                small_screen(), **COLUMNS, settings=EffectSettings(controls=100, min_cells=1, seed=seed),
                checkpoint=tmp_path / "out.h5ad", progress=stop,
            )  # fmt: skip
    assert len(list(tmp_path.glob(".out.h5ad.*.partial"))) == 2


def test_controls_are_drawn_once_or_for_each():
    shared = table_of(small_screen(), controls=80)
    again = table_of(small_screen(), controls=80)
    each = table_of(small_screen(), controls=80, per_perturbation=True)
    assert np.array_equal(shared.layers["pvalue"], again.layers["pvalue"])
    assert not np.array_equal(shared.layers["pvalue"], each.layers["pvalue"])
    assert shared.uns["perturbarena"]["n_control_cells"] == 80


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_a_table_is_read_as_it_was_written(tmp_path, suffix):
    path, table = tmp_path / f"effects{suffix}", table_of(small_screen())
    for _ in range(2):
        write_effect_table(path, table)
    back = read_effect_table(path)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    for layer in LAYERS:
        assert np.array_equal(back.layers[layer], table.layers[layer])
    assert back.uns["perturbarena"]["prior"]["pi0"] == table.uns["perturbarena"]["prior"]["pi0"]


def test_what_is_no_effect_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.h5ad or \.zarr; got effects\.csv"):
        read_effect_table(tmp_path / "effects.csv")
    with pytest.raises(FormatError, match="no such file"):
        read_effect_table(tmp_path / "effects.h5ad")
    small_screen().write_h5ad(tmp_path / "screen.h5ad")
    with pytest.raises(FormatError, match="lacks the layer log2fc"):
        read_effect_table(tmp_path / "screen.h5ad")


def test_shrinking_by_lfc_over_root_f_is_another_choice():
    standard, other = (
        table_of(small_screen(), shrink_by=how).layers["log2fc_shrunk"]
        for how in ("standard_error", "lfc_over_root_f")
    )
    assert np.isfinite(other).all()
    assert not np.array_equal(standard, other)


def test_sides_hold_every_count_in_its_batch():
    screen = from_anndata(small_screen(), **COLUMNS)
    cells = Cells.of(screen, np.arange(len(screen.genes)))
    rows = np.flatnonzero(screen.is_control)
    side = cells.side(rows[::-1])
    for batch in range(cells.n_batches):
        own = rows[cells.batch[rows] == batch]
        expected = np.asarray(screen.counts[own].sum(axis=0)).ravel()
        got = [side.counts[side.start[g, batch] : side.start[g, batch + 1]].sum() for g in range(cells.n_genes)]
        assert np.array_equal(got, expected)


def test_real_knockouts_lower_their_targets(shared):
    from perturbarena.screen import read_screen

    path = shared / "data/screens/papalexi_thp1/papalexi_thp1_299genes.h5ad"
    screen = read_screen(
        path, perturbation="perturbation", control="non-targeting", batch="batch", size_factors="n_umis_full"
    )
    table = estimate_effects(screen, settings=EffectSettings(controls=None))
    shrunk, fdr = table.to_df("log2fc_shrunk"), table.to_df("fdr")
    for knockout in ("STAT1", "JAK2", "IFNGR1", "IFNGR2"):
        for gene in ("STAT1", "PSMB9", "UBE2L6"):
            assert shrunk.loc[knockout, gene] < -0.5
            assert fdr.loc[knockout, gene] < 1e-10
