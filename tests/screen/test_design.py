from __future__ import annotations

import numpy as np
import pytest
from tests.screen.simulated import small_screen

from perturbarena.errors import InputError
from perturbarena.screen import design_screen, from_anndata
from perturbarena.screen.design import draw_controls

COLUMNS = {"perturbation": "pert", "control": "control", "batch": "batch", "guide": "guide"}


def screen_of(adata=None):
    return from_anndata(small_screen() if adata is None else adata, **COLUMNS)


def design_of(screen, *, seed=0, **options):
    return design_screen(screen, **{"min_cells": 1, "n_controls": 100, **options}, rng=np.random.default_rng(seed))


def test_every_perturbation_has_its_cells_in_order():
    screen = screen_of()
    design = design_of(screen)
    assert list(design.perturbations) == ["A", "B", "C"]
    assert list(design.n_cells) == [60, 60, 60]
    assert design.estimable.all()
    for name, rows in zip(design.perturbations, design.rows, strict=True):
        assert np.array_equal(rows, np.flatnonzero(screen.perturbation == name))


def test_too_few_cells_and_confounded_batches_have_a_reason():
    adata = small_screen()
    adata = adata[np.r_[0:305, 360:480]].copy()  # 5 cells of A
    adata.obs.loc[adata.obs["pert"] == "B", "batch"] = "b7"
    design = design_of(screen_of(adata), min_cells=10)
    assert list(design.reason) == [
        "too few cells: 5, at least 10 needed",
        "confounded with the batch: all its cells lie in b7, where no control cell lies",
        "",
    ]


def test_controls_are_drawn_once_by_seed():
    screen = screen_of()
    rows = draw_controls(screen, 100, np.random.default_rng(3))
    assert len(set(rows)) == 100
    assert np.array_equal(rows, np.sort(rows))
    assert screen.is_control[rows].all()
    assert np.array_equal(rows, draw_controls(screen, 100, np.random.default_rng(3)))
    assert not np.array_equal(rows, draw_controls(screen, 100, np.random.default_rng(4)))
    for everything in (None, 300, 5000):
        assert len(draw_controls(screen, everything, np.random.default_rng(0))) == 300
    with pytest.raises(InputError, match="must be positive; got 0"):
        draw_controls(screen, 0, np.random.default_rng(0))


def test_no_batch_loses_its_controls_by_chance():
    adata = small_screen()
    adata.obs["batch"] = "b0"
    adata.obs.loc[[f"cell{i}" for i in (7, 310, 311)], "batch"] = "rare"
    screen = screen_of(adata)
    assert all("rare" in screen.batch[draw_controls(screen, 5, np.random.default_rng(i))] for i in range(20))


def test_controls_are_drawn_evenly():
    screen = screen_of()
    drawn = np.zeros(300)
    for seed in range(300):
        drawn[draw_controls(screen, 60, np.random.default_rng(seed))] += 1
    assert abs(drawn.mean() - 60) < 1e-9
    assert drawn.std() < 1.3 * np.sqrt(300 * 0.2 * 0.8)


def test_controls_may_be_drawn_for_each_perturbation():
    assert design_of(screen_of()).own_control_rows is None
    own = design_of(screen_of(), per_perturbation=True).own_control_rows
    assert len(own) == 3
    assert {len(rows) for rows in own} == {100}
    assert not np.array_equal(own[0], own[1])
