import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from perturbarena.errors import InputError
from perturbarena.stats.resampling import Draws, draw
from perturbarena.stats.sweeps import GRID, N_GRID, PRECISION, RISK, ROC, Sweep


def rows(seed, n=120):
    rng = np.random.default_rng(seed)
    hit = rng.random(n) < 0.4
    hit[:2] = True, False
    return hit, np.round(rng.random(n) + 0.3 * hit, 1), rng.integers(12, size=n), rng.integers(30, size=n)


@given(st.integers(0, 10_000))
def test_average_precision_is_that_of_scikit_learn(seed):
    hit, score, _, _ = rows(seed)
    assert Sweep.of(hit, score).values()[PRECISION] == pytest.approx(average_precision_score(hit, score))


@given(st.integers(0, 10_000))
def test_risk_is_the_share_of_errors_among_the_surest(seed):
    wrong, _, _, _ = rows(seed, n=100)
    sure = np.random.default_rng(seed).permutation(100)
    risk = Sweep.of(wrong, sure).values()[RISK]
    by_hand = np.cumsum(wrong[np.argsort(-sure)]) / np.arange(1, 101)
    np.testing.assert_allclose(risk[1:], by_hand, atol=1e-9)


def test_ties_enter_together():
    hit = np.array([True, False, True, False])
    values = Sweep.of(hit, np.zeros(4)).values()
    np.testing.assert_allclose(values[ROC], GRID)
    np.testing.assert_allclose(values[RISK], 0.5)


def test_resampling_equals_repeating_rows():
    hit, score, pert, gene = rows(3)
    draws = Draws.of(pert, gene, n_resamples=4, rng=np.random.default_rng(0))
    found = Sweep.of(hit, score).replicates(draws)
    assert found.pert.shape == (4, 2 * N_GRID + 1)
    for way, keys, values in zip(draws.ways, draws.keys, (found.pert, found.gene, found.row), strict=True):
        for b in range(4):
            counts = np.zeros(way.max() + 1, np.int64)
            draw(keys[b], counts)
            again = np.repeat(np.arange(len(hit)), counts[way])
            np.testing.assert_allclose(values[b], Sweep.of(hit[again], score[again]).values(), atol=1e-12)


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="got 0 rows"):
        Sweep.of(np.ones(3, bool), np.ones(3), among=np.zeros(3, bool))
