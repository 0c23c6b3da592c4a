from __future__ import annotations

import math

import numpy as np
import pytest
from tests.screen.simulated import small_screen

from perturbarena.errors import InputError
from perturbarena.screen import EffectSettings, NullCalibration, from_anndata
from perturbarena.screen.null import draw_quartets, quantiles, units_of
from perturbarena.workflows.null import calibrate_screen, draw_null

SETTINGS = EffectSettings(controls=None, min_cells=1)


def calibrated(n: int = 20, **change) -> NullCalibration:
    screen = from_anndata(small_screen(), perturbation="pert", control="control", batch="batch", guide="guide")
    return calibrate_screen(screen, settings=SETTINGS.model_copy(update=change), n_nulls=n)


def test_nulls_of_a_clean_screen_are_clean():
    result = calibrated()
    assert len(result.units) == 20
    assert len(set(result.units)) == 20
    assert all(len(quartet) == 4 for quartet in result.units)
    assert result.clean
    assert sum(result.table().values()) == 20
    assert result.empirical_fdr == pytest.approx(result.moved.mean() / result.real_moved)
    assert 0.4 < np.median(result.pvalue) < 0.6


def test_an_artificial_perturbation_is_not_among_its_own_controls():
    screen = from_anndata(small_screen(), perturbation="pert", control="control", batch="batch", guide="guide")
    units = units_of(screen.guide, screen.is_control)
    result = calibrated(3)
    for quartet, n in zip(result.units, result.n_cells, strict=True):
        assert n == np.isin(units, quartet).sum()
    assert set(units) == {"", *(f"nt{i}" for i in range(8))}


def test_units_that_do_something_are_noticed():
    adata = small_screen()
    acting = np.isin(adata.obs["guide"], ["nt0", "nt1", "nt2"])
    counts = adata.X.toarray()
    counts[np.ix_(acting, np.arange(40, 80))] *= 4
    adata.X = counts
    screen = from_anndata(adata, perturbation="pert", control="control", batch="batch", guide="guide")
    assert not calibrate_screen(screen, settings=SETTINGS, n_nulls=40).clean


def test_at_most_as_many_quartets_as_there_are():
    units = np.array(["", "a", "b", "c", "d", "e", "a"], object)
    drawn = draw_quartets(units, 500, rng=np.random.default_rng(0))
    assert len(drawn) == len(set(drawn)) == math.comb(5, 4)


def test_too_few_units_and_no_guides_are_refused():
    with pytest.raises(InputError, match=r"at least 5 control units; got 2 \(a, b\)"):
        draw_quartets(np.array(["a", "b", ""], object), 5, rng=np.random.default_rng(0))
    screen = from_anndata(small_screen(), perturbation="pert", control="control", batch="batch")
    with pytest.raises(InputError, match="--null-unit"):
        calibrate_screen(screen, settings=SETTINGS, n_nulls=5)


def test_the_figure_is_written(tmp_path):
    draw_null(tmp_path / "qq.svg", calibrated(3), title="nulls")
    assert (tmp_path / "qq.svg").stat().st_size > 2000


def test_uniform_p_values_lie_on_the_diagonal():
    p = np.random.default_rng(0).uniform(size=100_000)
    expected, observed = quantiles(p)
    assert np.abs(expected - observed)[expected < 3].max() < 0.15
