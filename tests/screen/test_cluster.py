"""Blocks on Dask: the same numbers as in this process, whatever happens to workers."""

from __future__ import annotations

import builtins
import logging
import sys
from functools import partial

import numpy as np
import pytest
from tests.screen.fragile import fragile
from tests.screen.simulated import small_screen

from perturbarena.errors import InputError, MissingExtraError
from perturbarena.screen import EffectSettings, blocks, estimate_effects, from_anndata, read_screen
from perturbarena.screen.blocks import fit_all
from perturbarena.screen.cluster import on_cluster, on_processes
from perturbarena.screen.effects import effect_comparisons, prepare
from perturbarena.screen.null import draw_nulls
from perturbarena.screen.table import LAYERS

distributed = pytest.importorskip("distributed")

SETTINGS = EffectSettings(controls=200, min_cells=1, per_perturbation=True, seed=3)
COLUMNS = {"perturbation": "pert", "control": "control", "batch": "batch", "guide": "guide"}


def a_cluster(*, workers: int):
    return distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    )


@pytest.fixture(scope="module")
def address():
    """A scheduler with two worker processes."""
    with a_cluster(workers=2) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 2)
    small_screen(perturbations=tuple("ABCDEFGHI")).write_h5ad(tmp_path / "screen.h5ad")
    return tmp_path / "screen.h5ad"


@pytest.fixture
def prepared(path):
    return prepare(read_screen(path, **COLUMNS), SETTINGS)


def equal(a, b) -> bool:
    return all(np.array_equal(x, b.arrays()[name], equal_nan=True) for name, x in a.arrays().items())


def test_workers_give_the_same_bits(address, path, tmp_path):
    screen, steps = read_screen(path, **COLUMNS), []
    alone = estimate_effects(screen, settings=SETTINGS, workers=1)
    with on_cluster(address) as run:
        table = estimate_effects(
            screen,
            settings=SETTINGS,
            run=run,
            checkpoint=tmp_path / "out.h5ad",
            progress=lambda *s: steps.append(s),
        )
    assert len(steps) == 5
    assert steps[-1] == (9, 9)
    for layer in LAYERS:
        assert np.array_equal(table.layers[layer], alone.layers[layer])


def test_nulls_too(address, prepared):
    comparisons = draw_nulls(prepared, 6).comparisons
    with on_cluster(address) as run:
        assert equal(fit_all(comparisons, run=run), fit_all(comparisons))


def test_a_worker_that_is_killed_loses_nothing(address, prepared, tmp_path):
    comparisons = effect_comparisons(prepared)
    marker = tmp_path / "deadly"
    marker.touch()
    deadly = partial(fragile, comparisons.recipe, marker, 4)
    object.__setattr__(comparisons, "recipe", deadly)
    with on_cluster(address) as run:
        assert equal(fit_all(comparisons, run=run), fit_all(comparisons))
    assert not marker.exists()


@pytest.mark.slow  # four workers die and start again
def test_a_block_that_kills_every_worker_is_named(address, prepared, tmp_path):
    comparisons = effect_comparisons(prepared)
    marker = tmp_path / "deadly"
    marker.touch()
    object.__setattr__(comparisons, "recipe", partial(fragile, comparisons.recipe, marker, 4, lasting=True))
    with (
        on_cluster(address) as run,
        pytest.raises(InputError, match="workers died of perturbations 5 to 6 again and again"),
    ):
        fit_all(comparisons, run=run)


def test_another_file_under_the_same_path_is_refused(address, prepared, path):
    comparisons = effect_comparisons(prepared)
    changed = small_screen(perturbations=tuple("ABCDEFGHI"))
    changed.X.data[5] += 1
    changed.write_h5ad(path)
    with (
        on_cluster(address) as run,
        pytest.raises(InputError, match="on a Dask worker: the screen that lies here"),
    ):
        fit_all(comparisons, run=run)
    path.unlink()
    with (
        on_cluster(address) as run,
        pytest.raises(InputError, match=r"on a Dask worker: no such file: .*screen\.h5ad"),
    ):
        fit_all(comparisons, run=run)


def test_a_screen_in_memory_is_refused(address):
    comparisons = effect_comparisons(prepare(from_anndata(small_screen(), **COLUMNS), SETTINGS))
    with on_cluster(address) as run, pytest.raises(InputError, match="it must be a file"):
        fit_all(comparisons, run=run)


def test_nothing_left_to_do_asks_no_worker(prepared):
    with a_cluster(workers=0) as cluster, on_cluster(cluster.scheduler_address) as run:
        assert list(run(effect_comparisons(prepared), [])) == []


def test_no_worker_is_an_error(prepared, monkeypatch):
    monkeypatch.setattr("perturbarena.screen.cluster.WORKER_SECONDS", 0.5)
    with (
        a_cluster(workers=0) as cluster,
        on_cluster(cluster.scheduler_address) as run,
        pytest.raises(InputError, match="no worker has joined"),
    ):
        fit_all(effect_comparisons(prepared), run=run)


@pytest.mark.parametrize("address", ["nonsense", "foo://host:1", "tcp://host", "tcp://host:port", ""])
def test_what_is_no_address_is_refused(address):
    with pytest.raises(InputError, match="looks like tcp://host:8786; got"), on_cluster(address):
        pass


def test_without_dask_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "distributed")
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "distributed":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"perturbarena\[screen\]"), on_processes(2):
        pass
