from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.stats.reliability import reliability


def _rows(n_pert=60, n_gene=40, seed=0):
    rng = np.random.default_rng(seed)
    pert, gene = (a.ravel() for a in np.meshgrid(np.arange(n_pert), np.arange(n_gene)))
    return rng, pert, gene, rng.random(len(pert))


def test_honest_probabilities_lie_on_the_diagonal():
    rng, pert, gene, p = _rows()
    found = reliability(p, rng.random(len(p)) < p, pert=pert, gene=gene)
    assert found.n.sum() == len(p)
    assert found.error < 0.04
    assert np.mean((found.low <= found.stated) & (found.stated <= found.high)) >= 0.8


def test_bins_equal_a_plain_loop_and_ends_are_kept():
    p = np.array([0.0, 0.05, 0.1, 0.99, 1.0])
    y = np.array([True, False, True, True, True])
    found = reliability(p, y, pert=np.arange(5), gene=np.arange(5))
    assert found.n.tolist() == [2, 1, 2]
    assert found.stated == pytest.approx([0.025, 0.1, 0.995])
    assert found.happened == pytest.approx([0.5, 1, 1])
    assert np.isnan(found.low[1:]).all()  # all of a bin agree: how far off cannot be told


def test_shared_perturbations_widen_the_interval():
    rng, pert, gene, p = _rows()
    effect = rng.random(60)[pert]
    shared = reliability(np.full(len(p), 0.5), effect > 0.5, pert=pert, gene=gene, n_bins=1)
    alone = reliability(np.full(len(p), 0.5), rng.permutation(effect > 0.5), pert=pert, gene=gene, n_bins=1)
    assert shared.high[0] - shared.low[0] > 3 * (alone.high[0] - alone.low[0])


def test_no_rows_are_refused():
    nothing = np.zeros(0)
    with pytest.raises(InputError, match="needs rows"):
        reliability(nothing, nothing.astype(bool), pert=nothing, gene=nothing)
