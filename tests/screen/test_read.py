from __future__ import annotations

import sys

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from tests.screen.simulated import small_screen

from perturbarena.errors import FormatError, InputError, MissingExtraError
from perturbarena.screen import counts, from_anndata, read_screen

COLUMNS = {"perturbation": "pert", "control": "control"}


@pytest.fixture
def adata():
    return small_screen()


def lognormalised(adata):
    counted = adata.X.toarray().astype(np.float64)
    adata.X = sp.csr_matrix(np.log1p(1e4 * counted / counted.sum(axis=1, keepdims=True)))
    return sp.csr_matrix(counted.astype(np.int32))


def test_a_screen_holds_what_obs_says(adata):
    adata.obs["depth"] = np.arange(1, adata.n_obs + 1)
    screen = from_anndata(adata, **COLUMNS, batch="batch", guide="guide", size_factors="depth")
    assert screen.counts is adata.X
    assert list(screen.genes) == list(adata.var_names)
    assert list(screen.perturbation) == list(adata.obs["pert"])
    assert list(screen.batch) == list(adata.obs["batch"])
    assert list(screen.guide) == list(adata.obs["guide"])
    assert list(screen.size_factor) == list(range(1, adata.n_obs + 1))
    assert screen.is_control.sum() == 300
    assert not screen.dropped


def test_without_options_there_is_one_batch(adata):
    screen = from_anndata(adata, **COLUMNS)
    assert set(screen.batch) == {"all"}
    assert screen.guide is None
    assert screen.size_factor is None


@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning")
@pytest.mark.filterwarnings("ignore:Consolidated metadata:UserWarning")
@pytest.mark.parametrize(("suffix", "zarr_format"), [(".h5ad", 3), (".zarr", 2), (".zarr", 3)])
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
@pytest.mark.parametrize("kind", ["int64", "float32", "uint8"])
def test_every_storage_gives_the_same_counts(tmp_path, monkeypatch, suffix, zarr_format, form, kind):
    adata = small_screen(n_genes=40, cells=10)
    expected = adata.X.toarray()
    matrix = expected.astype(kind)
    adata.X = matrix if form == "dense" else sp.csr_matrix(matrix).asformat(form)
    adata.obs.loc[adata.obs_names[5:9], "pert"] = "unassigned"
    path = tmp_path / f"screen{suffix}"
    with ad.settings.override(zarr_write_format=zarr_format, auto_shard_zarr_v3=False):
        adata.write_h5ad(path) if suffix == ".h5ad" else adata.write_zarr(path)
    monkeypatch.setattr(counts, "BLOCK_VALUES", 997)  # many blocks
    for screen in (read_screen(path, **COLUMNS), from_anndata(adata, **COLUMNS)):
        assert screen.counts.format == "csr"
        assert screen.counts.has_canonical_format
        assert screen.counts.dtype.itemsize <= 4
        assert np.array_equal(screen.counts.toarray(), np.delete(expected, range(5, 9), axis=0))
        assert np.array_equal(screen.row, np.delete(np.arange(adata.n_obs), range(5, 9)))
        assert screen.dropped == {"unassigned": 4}


def test_backed_and_view_are_read(adata, tmp_path):
    adata.write_h5ad(tmp_path / "screen.h5ad")
    backed = ad.read_h5ad(tmp_path / "screen.h5ad", backed="r")
    assert (from_anndata(backed, **COLUMNS).counts != adata.X).nnz == 0
    assert (from_anndata(adata[100:], **COLUMNS).counts != adata.X[100:]).nnz == 0


@given(st.data())
def test_any_matrix_survives(data):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
    values = data.draw(st.lists(st.integers(0, 3), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=shape[0], max_size=shape[0])), bool)
    dense = np.array(values).reshape(shape)
    for form in (dense, sp.csr_matrix(dense), sp.csc_matrix(dense), sp.coo_matrix(dense)):
        assert np.array_equal(counts.to_csr(form, keep=keep, where="X").toarray(), dense[keep])


def test_stored_zeros_and_repeated_entries_leave_the_given_matrix_alone():
    matrix = sp.csr_matrix((np.array([1, 0, 2, 3]), np.array([0, 1, 1, 1]), np.array([0, 2, 4])), shape=(2, 2))
    result = counts.to_csr(matrix, keep=np.ones(2, bool), where="X")
    assert result.nnz == 2
    assert result.toarray().tolist() == [[1, 0], [0, 5]]
    assert matrix.nnz == 4


def test_only_the_needed_layer_is_read_and_raw_is_one(adata, tmp_path):
    raw = lognormalised(adata)
    adata.layers["counts"] = raw
    with_raw = adata.copy()
    with_raw.X = raw
    adata.raw = with_raw
    adata.write_h5ad(tmp_path / "screen.h5ad")
    for layer in ("counts", "raw"):
        for screen in (
            from_anndata(adata, **COLUMNS, layer=layer),
            read_screen(tmp_path / "screen.h5ad", **COLUMNS, layer=layer),
        ):
            assert (screen.counts != raw).nnz == 0


def test_cells_without_a_label_are_counted(adata):
    adata.obs["pert"] = adata.obs["pert"].astype("category").cat.add_categories(["Unassigned", ""])
    adata.obs.loc[adata.obs_names[:3], "pert"] = np.nan
    adata.obs.loc[adata.obs_names[3:5], "pert"] = ""
    adata.obs.loc[adata.obs_names[5], "pert"] = "Unassigned"
    screen = from_anndata(adata, **COLUMNS)
    assert screen.dropped == {"(blank)": 5, "Unassigned": 1}
    assert len(screen.row) == adata.n_obs - 6


def test_numbers_serve_as_labels(adata):
    adata.obs["pert"] = adata.obs["pert"].map({"control": 0, "A": 1, "B": 2, "C": 3})
    assert set(from_anndata(adata, perturbation="pert", control="0").perturbation) == {"0", "1", "2", "3"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"perturbation": "Perts"},
            r"no column 'Perts' \(--perturbation\); it has pert, guide, batch.*mean 'pert'\?",
        ),
        ({"batch": "lane"}, r"no column 'lane' \(--batch\)"),
        ({"guide": "sgrna"}, r"no column 'sgrna' \(--guide\)"),
        ({"size_factors": "depth"}, r"no column 'depth' \(--size-factors\)"),
        ({"size_factors": "batch"}, r"must be positive numbers; 480 are not, such as 'b\d' \(cell cell0\)"),
        ({"layer": "counts"}, r"no layer 'counts' \(--layer\); it has none"),
        (
            {"control": "ctl"},
            r"no cell is 'ctl' \(--control\) under 'pert'.* control, A, B, C; did you mean 'control'",
        ),
        ({"perturbation": None}, r"must be named: a column of obs \(--perturbation\)"),
        ({"guide_counts": "gdo"}, r"obsm has no 'gdo' \(--guide-counts\); it has nothing"),
    ],
)
def test_a_wrong_option_is_refused_in_a_line(adata, options, words):
    with pytest.raises(InputError, match=words) as refused:
        from_anndata(adata, **{**COLUMNS, **options}, source="s.h5ad")
    assert "\n" not in str(refused.value)
    assert "s.h5ad" in str(refused.value)


def test_a_control_that_is_called_otherwise_is_named(adata):
    adata.obs["pert"] = adata.obs["pert"].replace({"control": "NT"})
    with pytest.raises(InputError, match="did you mean 'NT'"):
        from_anndata(adata, perturbation="pert", control="ctrl")


def test_only_controls_and_no_labels_are_refused(adata):
    with pytest.raises(InputError, match="every cell is 'control' under 'pert'; perturbed cells are needed"):
        from_anndata(adata[:300], **COLUMNS)
    adata.obs["pert"] = "unassigned"
    with pytest.raises(InputError, match="no cell has a label under 'pert'"):
        from_anndata(adata, **COLUMNS)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_size_factors_are_positive(adata, value):
    adata.obs["depth"] = 1.0
    adata.obs.loc["cell7", "depth"] = value
    with pytest.raises(FormatError, match=r"1 are not, such as .* \(cell cell7\)"):
        from_anndata(adata, **COLUMNS, size_factors="depth")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, r"holds negative values \(the least is -1\)"),
        (np.nan, "holds 1 values that are NaN or infinite"),
        (0.5, r"under 1% of the non-zero values are not integers"),
        (3e9, "holds values above 2,147,483,647"),
    ],
)
@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_values_that_are_no_counts_are_refused(adata, tmp_path, value, words, form):
    matrix = adata.X.toarray().astype(np.float64)
    matrix[4, 2] = value
    adata.X = matrix if form == "dense" else sp.csr_matrix(matrix).asformat(form)
    adata.write_h5ad(tmp_path / "screen.h5ad")
    with pytest.raises(FormatError, match=words):
        from_anndata(adata, **COLUMNS)
    with pytest.raises(FormatError, match=words):
        read_screen(tmp_path / "screen.h5ad", **COLUMNS)


def test_log_normalised_counts_are_told_and_the_layer_named(adata):
    raw = lognormalised(adata)
    with pytest.raises(
        FormatError, match=r"log-normalised values \(.*sums to 10,000 in every cell\).*no other matrix"
    ):
        from_anndata(adata, **COLUMNS)
    adata.layers["norm"] = adata.X
    adata.layers["umis"] = raw
    with pytest.raises(FormatError, match="layer 'umis' holds them, pass --layer umis"):
        from_anndata(adata, **COLUMNS)
    adata.X = raw
    with pytest.raises(FormatError, match=r"layer 'norm' .* X holds them, leave --layer out"):
        from_anndata(adata, **COLUMNS, layer="norm")


def test_normalised_but_not_logged_counts_are_told(adata):
    adata.X = adata.X.astype(np.float64) * 13.7
    with pytest.raises(FormatError, match=r"X of AnnData holds normalised or corrected values \(99%"):
        from_anndata(adata, **COLUMNS)


def test_a_missing_x_names_the_layers(adata, tmp_path):
    adata.layers["umis"] = adata.X
    adata.X = None
    adata.write_h5ad(tmp_path / "screen.h5ad")
    with pytest.raises(FormatError, match=r"X of .* is not there; .* layers umis \(--layer\)"):
        read_screen(tmp_path / "screen.h5ad", **COLUMNS)


def test_a_gene_stands_once(adata):
    adata.var_names = ["g0", "g0", *adata.var_names[2:]]
    with pytest.raises(FormatError, match=r"1 stand more than once \(g0\)"):
        from_anndata(adata, **COLUMNS)


def test_a_cell_needs_a_batch(adata):
    adata.obs.loc["cell3", "batch"] = None
    with pytest.raises(FormatError, match=r"every cell needs a batch; 1 have none under 'batch'"):
        from_anndata(adata, **COLUMNS, batch="batch")


def test_confounded_batches_are_refused_only_if_all_are(adata):
    adata.obs["batch"] = np.where(adata.obs["pert"] == "control", "b0", "b1")
    with pytest.raises(InputError, match="confounded: the 'control' cells lie in batch b0"):
        from_anndata(adata, **COLUMNS, batch="batch")
    adata.obs.loc[adata.obs["pert"] == "A", "batch"] = "b0"
    assert set(from_anndata(adata, **COLUMNS, batch="batch").batch) == {"b0", "b1"}


def test_a_file_that_is_no_anndata_is_refused(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        read_screen(tmp_path / "none.h5ad", **COLUMNS)
    (tmp_path / "x.csv").write_text("a")
    with pytest.raises(FormatError, match=r"read from .h5ad or .zarr; got .csv"):
        read_screen(tmp_path / "x.csv", **COLUMNS)
    (tmp_path / "x.h5ad").write_text("no HDF5")
    with pytest.raises(FormatError, match="no HDF5 file, or a damaged one"):
        read_screen(tmp_path / "x.h5ad", **COLUMNS)
    with h5py.File(tmp_path / "y.h5ad", "w") as file:
        file["X"] = np.ones(3)
    with pytest.raises(FormatError, match="it has no obs"):
        read_screen(tmp_path / "y.h5ad", **COLUMNS)
    with h5py.File(tmp_path / "z.h5", "w") as file:
        file.create_group("matrix")
    with pytest.raises(FormatError, match="looks like Cell Ranger's"):
        read_screen(tmp_path / "z.h5", **COLUMNS)
    (tmp_path / "w.zarr").mkdir()
    with pytest.raises(FormatError, match="no zarr group"):
        read_screen(tmp_path / "w.zarr", **COLUMNS)


def test_without_anndata_the_extra_is_named(adata, tmp_path, monkeypatch):
    adata.write_h5ad(tmp_path / "screen.h5ad")
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'perturbarena\[screen\]'"):
        read_screen(tmp_path / "screen.h5ad", **COLUMNS)


def test_labels_come_from_guides_when_asked(adata):
    kept = adata.obs["pert"] != "control"
    adata.obs["guide"] = np.where(kept, adata.obs["pert"].astype(str) + "_1", adata.obs["guide"])
    screen = from_anndata(adata, perturbation=None, control="ctl", guide="guide")
    assert set(screen.perturbation) == {"A", "B", "C", "ctl"}


def test_guide_counts_leave_out_cells_without_one_guide(adata):
    umi = np.zeros((adata.n_obs, 3), int)
    umi[:, 0] = 20
    umi[0] = (20, 20, 0)
    umi[1] = (2, 0, 0)
    adata.obsm["gdo"] = pd.DataFrame(umi, index=adata.obs_names, columns=["A1", "A2", "A3"])
    screen = from_anndata(adata, **COLUMNS, guide_counts="gdo")
    assert screen.dropped == {"(no guide)": 1, "(several guides)": 1}
    assert set(screen.guide) == {"A1"}
    assert list(screen.row[:2]) == [2, 3]


def test_real_screens_are_read(shared):
    folder = shared / "data" / "screens"
    screen = read_screen(
        folder / "papalexi_thp1" / "papalexi_thp1_299genes.h5ad",
        perturbation="perturbation",
        control="non-targeting",
        batch="batch",
        guide_counts="guide_umi",
        size_factors="n_umis_full",
    )
    assert screen.counts.shape == (16192, 299)
    assert screen.dropped == {"(several guides)": 4537}
    tap = read_screen(
        folder / "schraivogel_k562_tapseq" / "schraivogel_tapseq_72genes.h5ad",
        perturbation="perturbation",
        control="non-targeting",
    )
    assert tap.dropped == {"unassigned": 662}
    assert tap.is_control.sum() == 8709
