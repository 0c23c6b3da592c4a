from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from perturbarena.errors import FormatError, InputError
from perturbarena.screen.guides import (
    NONE,
    SEVERAL,
    SINGLE,
    assign_guides,
    assignment_from,
    perturbation_of_guides,
)
from perturbarena.screen.parts import parts_of

UMI = np.array(
    [
        [0, 0, 0],  # nothing
        [4, 0, 0],  # too little
        [5, 0, 0],  # just enough
        [80, 20, 0],  # just the share
        [79, 21, 0],  # just not
        [0, 9, 1],
    ]
)


@pytest.mark.parametrize("matrix", [UMI, sp.csr_matrix(UMI), sp.csc_matrix(UMI)])
def test_thresholds(matrix):
    result = assign_guides(matrix, ["a", "b", "c"])
    assert list(result.status) == [NONE, NONE, SINGLE, SINGLE, SEVERAL, SINGLE]
    assert list(result.guide) == ["", "", "a", "a", "", "b"]
    assert list(result.top) == ["", "a", "a", "a", "a", "b"]
    assert list(result.n_guides) == [0, 0, 1, 2, 2, 1]
    loose = assign_guides(matrix, ["a", "b", "c"], min_umi=4, min_share=0.5)
    assert list(loose.status) == [NONE, SINGLE, SINGLE, SINGLE, SINGLE, SINGLE]


def test_names_must_fit():
    with pytest.raises(InputError, match="3 columns of guide counts need as many names; got 2"):
        assign_guides(UMI, ["a", "b"])
    with pytest.raises(InputError, match="at least one guide"):
        assign_guides(np.zeros((3, 0)), [])


def test_names_are_found_in_uns_or_a_frame():
    adata = ad.AnnData(np.ones((6, 2)))
    adata.obsm["gdo"] = sp.csr_matrix(UMI)
    parts = parts_of(adata)
    with pytest.raises(FormatError, match=r"obsm has no 'gd' \(--guide-counts\); it has gdo"):
        assignment_from(parts, "gd", source="s")
    with pytest.raises(FormatError, match="its 3 columns need names"):
        assignment_from(parts, "gdo", source="s")
    adata.uns["guide_names"] = np.array(["x", "y", "z"])
    assert assignment_from(parts_of(adata), "gdo", source="s").guide[5] == "y"
    adata.obsm["gdo"] = pd.DataFrame(UMI, index=adata.obs_names, columns=["a", "b", "c"])
    assert assignment_from(parts_of(adata), "gdo", source="s").guide[5] == "b"
    adata.obsm["gdo"] = np.log1p(UMI)
    with pytest.raises(FormatError, match="obsm 'gdo' of s holds log-normalised values"):
        assignment_from(parts_of(adata), "gdo", source="s")


@pytest.mark.parametrize(
    ("guide", "aim"),
    [
        ("STAT1g2", "STAT1"),
        ("Stat1_3", "Stat1"),
        ("JAK2-sg1", "JAK2"),
        ("HLA-A_1", "HLA-A"),
        ("MYC-A", "MYC"),
        ("NKX2-1_sg3", "NKX2-1"),
        ("CCNE2_+_95907328.23-P1P2", "CCNE2"),
        ("OXR1_-_107670413.23", "OXR1"),
        ("NT5E-1", "NT5E"),
        ("NEGR1_2", "NEGR1"),
        ("WT1_1", "WT1"),
        ("SAFB_1", "SAFB"),
        ("non-targeting_00025", "ctl"),
        ("NTg7", "ctl"),
        ("sgNTC-3", "ctl"),
        ("NC_4", "ctl"),
        ("neg_ctrl_4", "ctl"),
        ("safe-harbor_2", "ctl"),
        ("ctl", "ctl"),
        ("", ""),
    ],
)
def test_a_guide_tells_its_gene(guide, aim):
    assert list(perturbation_of_guides(np.array([guide, "A_1"], object), control="ctl")) == [aim, "A"]


def test_a_name_without_a_gene_is_refused():
    with pytest.raises(InputError, match=r"gene of guide 'STAT1' cannot be told.*--perturbation"):
        perturbation_of_guides(np.array(["STAT1"], object), control="ctl")
    own = perturbation_of_guides(np.array(["x|STAT1"], object), control="ctl", pattern=r"\|(.*)")
    assert list(own) == ["STAT1"]
