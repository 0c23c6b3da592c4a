from __future__ import annotations

import numpy as np
import pytest
from tests.screen.simulated import small_screen

from perturbarena.challenge.shards import Shard
from perturbarena.screen import EffectSettings, blocks, estimate_effects, from_anndata
from perturbarena.screen.blocks import Store, Threads, blocks_of, fit_all, fit_shard
from perturbarena.screen.effects import effect_comparisons, estimate_shard, prepare
from perturbarena.screen.null import draw_nulls
from perturbarena.screen.table import LAYERS

SETTINGS = EffectSettings(controls=None, min_cells=1)
COLUMNS = {"perturbation": "pert", "control": "control", "batch": "batch", "guide": "guide"}


@pytest.fixture
def screen():
    return from_anndata(small_screen(), **COLUMNS)


@pytest.fixture
def comparisons(screen, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 2)
    return draw_nulls(prepare(screen, SETTINGS), 7).comparisons


def never(comparisons, todo):
    assert not todo
    yield from ()


def equal(a, b) -> bool:
    return all(np.array_equal(x, b.arrays()[name], equal_nan=True) for name, x in a.arrays().items())


def test_blocks_cover_every_comparison_once(comparisons):
    assert [list(block) for block in blocks_of(comparisons)] == [[0, 1], [2, 3], [4, 5], [6]]


def test_three_shards_make_the_whole(comparisons, tmp_path):
    store = Store.beside(tmp_path / "out", comparisons)
    left = [fit_shard(comparisons, Shard(i, 3), store=store) for i in (1, 2, 3)]
    assert [part.missing for part in left] == [4, 2, 0]
    assert equal(fit_all(comparisons, run=never, store=store), fit_all(comparisons))


def test_blocks_may_come_in_any_order(comparisons):
    def backwards(comparisons, todo):
        yield from Threads(1)(comparisons, todo[::-1])

    assert equal(fit_all(comparisons, run=backwards), fit_all(comparisons))


def test_a_shard_that_was_stopped_goes_on(comparisons, tmp_path):
    store = Store.beside(tmp_path / "out", comparisons)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_shard(comparisons, Shard(1, 2), store=store, progress=stop)
    steps = []
    fit_shard(comparisons, Shard(1, 2), store=store, progress=lambda *step: steps.append(step))
    assert steps == [(2, 2)]


def test_a_block_kept_twice_has_the_same_bytes(comparisons, tmp_path):
    store = Store.beside(tmp_path / "out", comparisons)
    block = blocks_of(comparisons)[0]
    written = []
    for _ in range(2):
        store.save(block, comparisons.fit_block(block))
        written.append(next(store.folder.iterdir()).read_bytes())
    assert written[0] == written[1]


def test_another_screen_or_draw_has_another_digest(screen):
    digests = {effect_comparisons(prepare(screen, SETTINGS)).digest}
    for change in ({"controls": 100}, {"controls": 100, "seed": 1}, {"controls": 100, "per_perturbation": True}):
        digests.add(effect_comparisons(prepare(screen, SETTINGS.model_copy(update=change))).digest)
    changed = small_screen()
    changed.X.data[17] += 1
    unbatched = COLUMNS | {"batch": None}
    for other in (from_anndata(changed, **COLUMNS), from_anndata(small_screen(), **unbatched)):
        digests.add(effect_comparisons(prepare(other, SETTINGS)).digest)
    assert len(digests) == 6
    another_prior = SETTINGS.model_copy(update={"prior": "normal"})
    assert effect_comparisons(prepare(screen, another_prior)).digest in digests


def test_shards_of_effects_make_the_table(screen, tmp_path, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 1)
    path = tmp_path / "effects.h5ad"
    left = [estimate_shard(screen, Shard(i, 3), checkpoint=path, settings=SETTINGS) for i in (3, 1, 2)]
    assert [part.missing for part in left] == [2, 1, 0]
    merged = estimate_effects(screen, settings=SETTINGS, checkpoint=path, run=never)
    whole = estimate_effects(screen, settings=SETTINGS)
    for layer in LAYERS:
        assert np.array_equal(merged.layers[layer], whole.layers[layer])
    assert list(tmp_path.iterdir()) == []
