from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
from tests.screen.simulated import small_screen

from perturbarena.errors import InputError
from perturbarena.screen import ScreenCheck, check_screen, from_anndata
from perturbarena.screen.pseudobulk import guide_agreement, knockdowns

COLUMNS = {"perturbation": "pert", "control": "control", "batch": "batch", "guide": "guide"}


@pytest.fixture
def adata():
    """Genes called as the perturbations, so that knockdown can be seen; three guides a perturbation."""
    data = small_screen(cells=120)
    data.var_names = ["A", "B", "C", *data.var_names[3:]]
    number = np.arange(data.n_obs) % 3
    own = data.obs["pert"].astype(str) + "_" + number.astype(str)
    data.obs["guide"] = np.where(data.obs["pert"] == "control", data.obs["guide"], own)
    return data


def with_counts(adata, change):
    dense = adata.X.toarray()
    change(dense)
    adata.X = sp.csr_matrix(dense)
    return adata


def said(report: ScreenCheck, about: str) -> str:
    return " | ".join(f"{f.level}: {f.text}" for f in report.findings if f.about == about)


def test_a_clean_screen_is_ready(adata):
    report = check_screen(adata, **COLUMNS)
    assert report.ok
    assert (report.n_cells, report.n_genes, report.n_controls, report.n_control_guides) == (660, 150, 300, 8)
    assert [p.n_guides for p in report.perturbations] == [3, 3, 3]
    assert sum(b.n_cells for b in report.batches) == 660
    assert not [f for f in report.findings if f.about != "knockdown"]
    assert report.guessed == ()


def test_columns_are_found_and_said_to_be(adata):
    report = check_screen(adata)
    assert report.columns[:4] == ("pert", "control", "batch", "guide")
    assert set(report.guessed) == {"perturbation", "control", "batch", "guide"}
    adata.obs = adata.obs.rename(columns={"pert": "what"})[["what", "batch"]]
    with pytest.raises(
        InputError, match="nothing tells what was done to a cell: obs has what, batch, obsm has noth"
    ):
        check_screen(adata)


def test_knockdown_is_measured(adata):
    found = {k.perturbation: k for k in knockdowns(from_anndata(adata, **COLUMNS))}
    assert found["A"].verdict == "down"
    assert found["A"].low < -2 < found["A"].high
    assert found["B"].verdict == "unclear"
    assert found["B"].low < 0 < found["B"].high


def test_the_interval_of_a_knockdown_covers_the_truth():
    covered = n = 0
    for seed in range(60):
        data = small_screen(seed)
        data.var_names = ["A", *(f"x{i}" for i in range(1, 148)), "B", "C"]
        for k in knockdowns(from_anndata(data, **COLUMNS)):
            if k.verdict != "too few counts":
                truth = -2.0 if k.perturbation == "A" else 0.0
                covered += k.low <= truth <= k.high
                n += 1
    assert covered / n == pytest.approx(0.95, abs=0.045)


def test_nothing_seen_has_an_upper_end(adata):
    rows = (adata.obs["pert"] == "A").to_numpy()

    def silence(dense):
        dense[rows, 0] = 0

    found = knockdowns(from_anndata(with_counts(adata, silence), **COLUMNS))[0]
    assert found.log2_ratio == -math.inf
    assert -10 < found.high < -4
    assert found.verdict == "down"
    rare = with_counts(adata, lambda dense: dense.__setitem__((slice(1, None), 0), 0))
    assert knockdowns(from_anndata(rare, **COLUMNS))[0].verdict == "too few counts"


def test_a_transcript_that_rises_is_told(adata):
    rows = (adata.obs["pert"] == "B").to_numpy()
    report = check_screen(with_counts(adata, lambda d: d.__setitem__((rows, 1), d[rows, 1] * 8 + 5)), **COLUMNS)
    assert [k.verdict for k in report.knockdowns] == ["down", "up", "unclear"]
    assert "falls in only 1 of 3 perturbations" in said(report, "knockdown")


def test_guides_that_agree_are_left_in_peace(adata):
    verdicts = [g.verdict for g in guide_agreement(from_anndata(adata, **COLUMNS))]
    assert len(verdicts) == 17
    assert set(verdicts) == {"agrees"}


@pytest.mark.parametrize(
    ("strong", "verdict", "odd"),
    [({"A_1", "A_2"}, "weaker", "A_0"), ({"A_0"}, "alone", "A_0"), ({"nt1"}, "alone", "nt1")],
)
def test_a_guide_unlike_its_others_is_named(adata, strong, verdict, odd):
    rows = np.isin(adata.obs["guide"], list(strong))
    genes = np.arange(40, 90)
    report = check_screen(
        with_counts(adata, lambda d: d.__setitem__(np.ix_(rows, genes), d[np.ix_(rows, genes)] * 6)), **COLUMNS
    )
    record = next(g for g in report.guides if g.guide == odd)
    assert record.verdict == verdict
    assert record.n_differ >= 10
    if verdict == "weaker":
        assert abs(record.strength) < 0.3
    assert odd in said(report, "controls" if odd == "nt1" else "guides")
    assert report.ok


def test_batches_do_not_pass_for_guides(adata):
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 3 == 0, "b0", "b1")  # A_0 … all lie in b0
    rows = (adata.obs["batch"] == "b0").to_numpy()
    genes = np.arange(40, 90)
    changed = with_counts(adata, lambda d: d.__setitem__(np.ix_(rows, genes), d[np.ix_(rows, genes)] * 3))
    assert {g.verdict for g in guide_agreement(from_anndata(changed, **COLUMNS))} == {"agrees"}


def test_confounded_and_bare_batches(adata):
    adata.obs["batch"] = np.where(adata.obs["pert"] == "B", "b9", adata.obs["batch"])
    report = check_screen(adata, **COLUMNS)
    assert not report.ok
    assert "wrong: B is confounded with the batch: all its cells lie in b9" in said(report, "batches")
    assert "no control cells in b9: the 120 cells there" in said(report, "batches")
    assert report.confounded == {"B": ["b9"]}
    assert report.perturbations[1].batch_distance == pytest.approx(1.0)


def test_unbalanced_batches(adata):
    adata.obs["batch"] = np.where(np.arange(adata.n_obs) % 10 == 0, "b0", "b1")
    adata.obs.loc[adata.obs["pert"] == "C", "batch"] = "b0"
    assert "C (90%)" in said(check_screen(adata, **COLUMNS), "batches")


def test_few_cells_few_controls_few_guides(adata):
    keep = np.r_[np.flatnonzero(adata.obs["guide"].isin(["nt1", "nt2"]))[:50], 300:310, 420:660]
    report = check_screen(adata[keep].copy(), **COLUMNS)
    assert "wrong: there are 50 control cells; at least 100" in said(report, "controls")
    assert "controls have 2 guides; null calibration needs at least 5" in said(report, "controls")
    assert "1 of 3 perturbations have fewer than 25 cells: A 10" in said(report, "cells")
    adata.obs.loc[adata.obs["pert"] == "A", "guide"] = "A_0"
    assert "one guide only, so nothing tells its effect from an off-target one: A" in said(
        check_screen(adata, **COLUMNS), "guides"
    )


def test_a_guide_of_two_perturbations_is_wrong(adata):
    adata.obs.loc["cell300", "guide"] = "B_0"
    report = check_screen(adata, **COLUMNS)
    assert not report.ok
    assert "wrong: guide B_0 stands under several perturbations: A, B" in said(report, "guides")


def test_other_labels_that_sound_like_controls(adata):
    adata.obs["pert"] = adata.obs["pert"].replace({"C": "non-targeting"})
    assert "non-targeting sound like controls too" in said(check_screen(adata, **COLUMNS), "controls")


def test_depth(adata):
    rows = (adata.obs["batch"] == "b1").to_numpy()
    one = (adata.obs["pert"] == "B").to_numpy()

    def deepen(dense):
        dense[rows] *= 3
        dense[one] = dense[one] // 4
        dense[5] = 0

    report = check_screen(with_counts(adata, deepen), **COLUMNS)
    assert "batch b1 is" in said(report, "depth")
    assert "B (0." in said(report, "depth")
    assert "1 cells have no counts at all" in said(report, "counts")


def test_presence_and_absence_are_no_counts(adata):
    report = check_screen(with_counts(adata, lambda d: np.minimum(d, 1, out=d)), **COLUMNS)
    assert "wrong: no count is above 1" in said(report, "counts")


def guide_umis(adata, *, several: int, relabelled: int):
    names = sorted(set(adata.obs["guide"]))
    umi = np.zeros((adata.n_obs, len(names)), np.int32)
    for i, guide in enumerate(adata.obs["guide"]):
        umi[i, (names.index(guide) + (i < relabelled)) % len(names)] = 50
    umi[100 : 100 + several] = 30
    adata.obsm["guide_umi"] = sp.csr_matrix(umi)
    adata.uns["guide_names"] = np.array(names)
    return adata


def test_guide_counts_are_looked_at_and_used_when_named(adata):
    guide_umis(adata, several=200, relabelled=0)
    report = check_screen(adata, **COLUMNS)
    assert report.guide_counts.n_several == 200
    assert report.guide_counts.per_cell == (0, 460, 0, 0, 0, 200)
    assert "wrong: 200 cells (30%) hold several guides by guide_umi" in said(report, "assignment")
    assert "guide_counts" in report.guessed
    assert report.n_cells == 660
    used = check_screen(adata, **COLUMNS, guide_counts="guide_umi")
    assert used.n_cells == 460
    assert used.ok
    assert "30% of all cells are left out" in said(used, "assignment")


def test_a_guide_column_that_disagrees_with_the_counts_is_wrong(adata):
    guide_umis(adata, several=0, relabelled=50)
    report = check_screen(adata, **COLUMNS)
    assert "wrong: 50 of 660 cells with one guide by guide_umi have another under guide" in said(
        report, "assignment"
    )


def test_labels_come_from_guide_counts_alone(adata):
    guide_umis(adata, several=3, relabelled=0)
    adata.obs = adata.obs[["batch"]]
    report = check_screen(adata)
    assert [p.perturbation for p in report.perturbations] == ["A", "B", "C"]
    assert report.columns.guide_counts == "guide_umi"
    assert report.n_controls == 297


def test_real_screens(shared):
    folder = shared / "data" / "screens"
    thp1 = check_screen(folder / "papalexi_thp1" / "papalexi_thp1_299genes.h5ad", size_factors="n_umis_full")
    assert (thp1.n_cells, thp1.n_controls, len(thp1.perturbations)) == (20729, 2386, 25)
    assert "4,537 cells (22%) hold several guides" in said(thp1, "assignment")
    down = {k.perturbation: k for k in thp1.knockdowns}
    assert down["STAT1"].high < -2
    assert down["JAK2"].high < -1.8
    assert {g.guide for g in thp1.guides if g.verdict != "agrees"} == {"IRF1g1"}
    k562 = check_screen(folder / "schraivogel_k562_tapseq" / "schraivogel_tapseq_72genes.h5ad")
    assert k562.columns.batch == "lane"
    assert all(k.verdict == "down" for k in k562.knockdowns)
    assert {g.guide for g in k562.guides if g.verdict == "weaker"} == {
        "UBR5_-_103424644.23-P1P2",
        "UBR5_-_103424857.23-P1P2",
    }
    with pytest.raises(InputError, match="obs has n_umis_full, obsm has nothing; name a column"):
        check_screen(folder / "dixit_wt_bmdc_lps3h" / "dixit_wt_bmdc_lps3h_10x.h5ad")
