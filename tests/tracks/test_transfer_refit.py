"""Leaving rows out: exact against a fit from scratch, and an estimate that points at what matters."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.errors import InputError
from perturbarena.knowledge import GeneFeatures
from perturbarena.tracks import Relearner, fit_transfer, pulls_of
from perturbarena.tracks.transfer_models import TransferSettings, fit_direction, fit_movement


@pytest.fixture(scope="module")
def fitted():
    made = simulate_questions(np.random.default_rng(2), n_perts=50, n_genes=120, n_questions=1_200)
    features = [GeneFeatures("features", made.feature_genes, made.features, "simulated")]
    rows = made.questions.take(np.arange(len(made.questions) - 1))
    asked = made.questions.questions.take([len(made.questions) - 1])
    return rows, features, fit_transfer(rows, features, rng=np.random.default_rng(0)), asked


def answer(model, asked):
    found = model.answer(asked).predictions
    return np.array([found.p_up[0], found.p_down[0]])


def test_without_nothing_it_is_the_same_model(fitted):
    rows, _, model, asked = fitted
    same = Relearner(model, rows).without(np.zeros(len(rows), bool))
    assert answer(same, asked) == pytest.approx(answer(model, asked), abs=1e-12)


def test_without_rows_it_is_the_fit_of_the_others_on_the_same_axes(fitted):
    rows, _, model, asked = fitted
    own = rows.pert == rows.pert[0]
    kept = rows.take(np.flatnonzero(~own))
    x = model.design.rows(kept.pert, kept.gene)
    moved = np.flatnonzero(kept.is_de)
    settings = TransferSettings()
    de = fit_movement(x, kept.is_de, kept.gene, settings=settings)
    up = fit_direction(
        x.take(moved), kept.is_up[moved], kept.gene[moved], settings=settings, kernel=model.direction.kernel
    )
    at = model.design.rows(asked.pert, asked.gene)
    p_de, p_dir = de.probability(at)[0], up.probability(at)[0]
    found = answer(Relearner(model, rows).without(own), asked)
    assert found == pytest.approx([p_de * p_dir, p_de * (1 - p_dir)], abs=1e-12)
    assert np.abs(found - answer(model, asked)).max() > 1e-6


def test_the_estimated_pull_finds_the_perturbations_with_the_largest_shift(fitted):
    rows, _, model, asked = fitted
    learner = Relearner(model, rows)
    base = answer(model, asked)
    names = np.unique(rows.pert.astype(str))
    exact = np.array([answer(learner.without(rows.pert == name), asked) - base for name in names])
    pulls = pulls_of(learner, asked)
    estimated = np.array([[pull[rows.pert == name].sum() for pull in pulls] for name in names])
    for k in (0, 1):
        assert np.corrcoef(exact[:, k], estimated[:, k])[0, 1] > 0.9
    strongest = set(np.argsort(-np.abs(exact).max(axis=1))[:5])
    assert strongest <= set(np.argsort(-np.abs(estimated).max(axis=1))[:12])


def test_what_cannot_be_left_out_is_told(fitted):
    rows, _, model, _ = fitted
    with pytest.raises(InputError, match="no training row would be left"):
        Relearner(model, rows).without(np.ones(len(rows), bool))
    with pytest.raises(InputError, match="got 2 questions"):
        pulls_of(Relearner(model, rows), rows.questions.take([0, 1]))
