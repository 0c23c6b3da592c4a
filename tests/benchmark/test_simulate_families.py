"""Questions whose answers names tell: by the family's root, never by the number, and never by a name alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

from perturbarena.benchmark.simulate_families import simulate_families
from perturbarena.challenge.records import LABELS
from perturbarena.errors import InputError


def roots(names):
    return [re.sub(r"\d+", "", name) for name in names]


def test_the_label_follows_from_the_two_families():
    made = simulate_families(np.random.default_rng(0), n_families=4)
    rule = {}
    rows = made.questions
    for pert, gene, label in zip(roots(rows.pert), roots(rows.gene), rows.label, strict=True):
        assert rule.setdefault((pert, gene), label) == label
    assert len(rule) == 16
    assert set(rule.values()) == set(LABELS)
    assert not set(rows.pert) & set(rows.gene)


def test_wrong_labels_come_as_often_as_asked():
    clean = simulate_families(np.random.default_rng(0), n_questions=6000).questions
    noisy = simulate_families(np.random.default_rng(0), n_questions=6000, wrong=0.3).questions
    assert np.mean(clean.label != noisy.label) == pytest.approx(0.2, abs=0.02)


def test_more_than_there_are_pairs_or_roots_is_told():
    with pytest.raises(InputError, match="at most 4 questions"):
        simulate_families(np.random.default_rng(0), n_perts=2, n_genes=2, n_questions=5)
    with pytest.raises(InputError, match="families must be 2 to 8"):
        simulate_families(np.random.default_rng(0), n_families=9)
