from __future__ import annotations

import math

import numpy as np
import pytest
from tests.screen.simulated import small_screen

from perturbarena.challenge.shards import Shard
from perturbarena.errors import InputError
from perturbarena.screen import EffectSettings, NullCalibration, blocks, estimate_effects, from_anndata
from perturbarena.screen.cells import Controls
from perturbarena.screen.null import draw_quartets, quantiles, units_of
from perturbarena.screen.table import read_effect_table, write_effect_table
from perturbarena.workflows.null import (
    calibrate_plan,
    calibrate_screen,
    calibrate_shard,
    draw_null,
    plan_calibration,
)

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


def screen_with(**changes):
    columns = {"perturbation": "pert", "control": "control", "batch": "batch", "guide": "guide"} | changes
    return from_anndata(small_screen(), **columns)


def same(a: NullCalibration, b: NullCalibration) -> bool:
    return a.as_json() == b.as_json() and np.array_equal(a.pvalue, b.pvalue) and a.units == b.units


def test_a_calibration_that_was_stopped_goes_on_where_it_stood(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1)
    tested = []
    test = Controls.test
    monkeypatch.setattr(Controls, "test", lambda self, rows: tested.append(rows) or test(self, rows))
    plan = plan_calibration(screen_with(), settings=SETTINGS, n_nulls=6)

    def stop_after_two(done: int, total: int) -> None:
        assert total == 6
        if done == 2:
            raise KeyboardInterrupt

    path = tmp_path / "null.json"
    with pytest.raises(KeyboardInterrupt):
        calibrate_plan(plan, checkpoint=path, progress=(lambda *_: None, stop_after_two))
    assert len(tested) == 3 + 2
    again = plan_calibration(screen_with(), settings=SETTINGS, n_nulls=6)
    resumed = calibrate_plan(again, checkpoint=path)
    assert len(tested) == 3 + 6
    assert list(tmp_path.iterdir()) == []
    assert same(resumed, calibrated(6))


def test_shards_make_the_calibration(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 2)
    plan, path = plan_calibration(screen_with(), settings=SETTINGS, n_nulls=6), tmp_path / "null.json"
    left = [calibrate_shard(plan, Shard(i, 2), checkpoint=path) for i in (1, 2)]
    assert [part.total for part in left] == [9, 9]
    assert [part.missing for part in left] == [3, 0]
    assert same(calibrate_plan(plan, checkpoint=path), calibrated(6))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "effects.h5ad"
    write_effect_table(path, estimate_effects(screen_with(guide=None), settings=SETTINGS))
    return read_effect_table(path)


def test_an_effect_table_saves_the_real_fits(table, monkeypatch):
    expected = calibrated(6)
    tested = []
    test = Controls.test
    monkeypatch.setattr(Controls, "test", lambda self, rows: tested.append(rows) or test(self, rows))
    got = calibrate_screen(screen_with(), settings=SETTINGS, n_nulls=6, effects=table)
    assert len(tested) == 6
    assert same(got, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"controls": 100}, "made with --controls all, this calibration has 100"),
        ({"min_cells": 2}, "made with --min-cells 1, this calibration has 2"),
        ({"seed": 7}, "made with --seed 0, this calibration has 7"),
    ],
)
def test_a_table_under_other_settings_is_refused(table, change, message):
    with pytest.raises(InputError, match=message):
        plan_calibration(screen_with(), settings=SETTINGS.model_copy(update=change), n_nulls=5, effects=table)


def test_a_table_of_another_screen_is_refused(table):
    def plan(adata, **columns):
        named = {"perturbation": "pert", "control": "control", "batch": "batch", "guide": "guide"} | columns
        plan_calibration(from_anndata(adata, **named), settings=SETTINGS, n_nulls=5, effects=table)

    with pytest.raises(InputError, match="not of AnnData: genes and perturbations agree"):
        plan(small_screen(seed=1))
    with pytest.raises(InputError, match="--batch"):
        plan(small_screen(), batch=None)
    with pytest.raises(InputError, match="other genes than AnnData: 150, of which 140 are among the 140 here"):
        plan(small_screen(n_genes=140))
    with pytest.raises(InputError, match="other perturbations than AnnData: 3, of which 2 are among the 2 here"):
        plan(small_screen(perturbations=("A", "B")))
    old = table.copy()
    old.uns["perturbarena"] = {**old.uns["perturbarena"], "perturbarena": "0.0.1"}
    with pytest.raises(InputError, match=r"by another version, perturbarena 0\.0\.1; make it anew"):
        plan_calibration(screen_with(batch=None), settings=SETTINGS, n_nulls=5, effects=old)
