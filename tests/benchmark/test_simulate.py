from __future__ import annotations

import numpy as np
import pytest

from perturbarena.benchmark import simulate_questions
from perturbarena.errors import InputError


def test_shape_and_label_mix():
    simulated = simulate_questions(np.random.default_rng(0), n_perts=40, n_genes=90, n_questions=1000)
    rows = simulated.questions
    assert len(rows) == len(set(rows.id)) == 1000
    assert not set(rows.pert) & set(rows.gene)
    assert (~rows.is_de).mean() == pytest.approx(0.55, abs=0.01)
    assert np.all((simulated.effect > 0)[rows.is_de] == rows.is_up[rows.is_de])
    assert set(rows.pert) | set(rows.gene) <= set(simulated.feature_genes)


def test_same_seed_same_set():
    a, b = (simulate_questions(np.random.default_rng(7), n_questions=200) for _ in range(2))
    assert np.array_equal(a.questions.label, b.questions.label)
    assert np.array_equal(a.features, b.features)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_perts": 3, "n_genes": 4, "n_questions": 13}, "12 questions fit 3 × 4 pairs; got 13"),
        ({"none_share": 1.0}, "none_share"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str):
    with pytest.raises(InputError, match=message):
        simulate_questions(np.random.default_rng(0), **settings)
