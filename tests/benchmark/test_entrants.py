from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from perturbarena.benchmark.entrants import EntrantModel, GeneLabels, LabelMix, simulate_pair
from perturbarena.benchmark.power import paired_differences
from perturbarena.challenge.records import DOWN, NONE, UP, LabelledQuestions, Questions
from perturbarena.errors import InputError

MIX = LabelMix(0.3, 0.15, 0.55)


@pytest.mark.parametrize("auroc", [0.55, 0.8])
def test_entrants_have_the_stated_aurocs_and_correlation(auroc):
    rng = np.random.default_rng(2)
    n = 20_000  # every row has names of its own, so that AUROC is exactly the stated one
    label = MIX.draw(rng, n)
    names = np.arange(n)
    model = EntrantModel(auroc=auroc)
    pair = simulate_pair(rng, model, names, names, label, gap=0.04)
    found = paired_differences(pair, names, names, label, n_resamples=2, rng=rng)
    assert found["de_auroc"].value == pytest.approx(0.04, abs=0.015)
    still = pair.de[label == NONE]
    assert np.corrcoef(still.T)[0, 1] == pytest.approx(model.correlation, abs=0.03)
    own = EntrantModel(pert_share=0.5, pert_correlation=1.0)
    shared = simulate_pair(rng, own, np.zeros(n, int), names, label).de[label == NONE]
    assert shared.var(axis=0) == pytest.approx(0.5, abs=0.05)  # one perturbation: its share is no variance


def test_borrowed_labels_stay_together_by_gene():
    rows = LabelledQuestions(
        Questions.from_pairs(["a", "b", "c", "a", "a", "b"], ["x", "x", "x", "y", "z", "z"]),
        np.array([UP, UP, NONE, DOWN, NONE, DOWN], object),
    )
    gene = np.repeat(np.arange(40), 3)
    drawn = GeneLabels.of(rows).draw(np.random.default_rng(0), gene).reshape(40, 3)
    assert {tuple(sorted(of)) for of in drawn} == {(NONE, UP, UP)}
    assert len({tuple(of) for of in drawn}) == 3  # in any order
    single = GeneLabels.of(rows).draw(np.random.default_rng(0), np.arange(9))
    assert set(single) == {DOWN}
    many = GeneLabels.of(rows).draw(np.random.default_rng(0), np.zeros(6, int))
    assert sorted(many) == [NONE] * 2 + [UP] * 4


def test_models_and_gaps_out_of_range_are_refused():
    with pytest.raises(ValidationError, match="sum to less than 1"):
        EntrantModel(pert_share=0.6, gene_share=0.5)
    one = np.zeros(1, int)
    with pytest.raises(InputError, match=r"got 1\.100 and 0\.100"):
        simulate_pair(np.random.default_rng(0), EntrantModel(), one, one, np.array([UP], object), gap=1.0)
