from __future__ import annotations

import numpy as np
import pytest

from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.evaluation import row_count_bands, score_strata, score_strict
from perturbarena.evaluation.difference import paired_differences


def _set(seed=0, n_pert=30, n_gene=20):
    rng = np.random.default_rng(seed)
    pert, gene = (a.ravel() for a in np.meshgrid(np.arange(n_pert), np.arange(n_gene)))
    questions = Questions.from_pairs([f"P{i}" for i in pert], [f"G{i}" for i in gene])
    label = rng.choice(np.array(["up", "down", "none"], object), len(pert), p=[0.3, 0.2, 0.5])
    truth = LabelledQuestions(questions, label)
    up = np.clip(0.3 + 0.2 * (label == "up") + rng.normal(0, 0.1, len(pert)), 0, 0.5)
    down = np.clip(0.2 + 0.2 * (label == "down") + rng.normal(0, 0.1, len(pert)), 0, 0.5)
    return truth, Predictions(truth.id, up, down), rng


def test_a_stratum_scores_as_its_rows_alone():
    truth, answers, rng = _set()
    stratum = np.where(np.arange(len(truth)) % 3 == 0, "a", "b").astype(object)
    found = {s.name: s for s in score_strata(truth, answers, stratum, rng=rng, n_resamples=100)}
    for name, of in found.items():
        rows = stratum == name
        alone = score_strict(truth.take(rows), answers.take(rows), rng=rng, n_resamples=0)
        assert of.de_auroc == pytest.approx(alone.de_auroc)
        assert of.dir_auroc == pytest.approx(alone.dir_auroc)
        assert (of.n, of.n_de, of.n_up) == (alone.n, alone.n_de, alone.n_up)
        assert of.de_interval is not None
        assert of.de_interval.low < of.de_auroc < of.de_interval.high


def test_a_stratum_without_both_classes_is_undefined():
    truth, answers, rng = _set()
    stratum = np.where(truth.label == "none", "still", "moved").astype(object)
    found = score_strata(truth, answers, stratum, rng=rng, n_resamples=50)
    assert all(np.isnan(s.de_auroc) and s.de_interval is None for s in found)
    assert {s.name: np.isnan(s.dir_auroc) for s in found} == {"still": True, "moved": False}


def test_bands_double():
    counts = np.array([1, 2, 3, 4, 5, 8, 9, 16, 17])
    assert list(row_count_bands(counts)) == ["1", "2", "3–4", "3–4", "5–8", "5–8", "9–16", "9–16", "17–32"]


def test_paired_differences_are_those_of_the_scores_and_far_narrower():
    truth, answers, rng = _set()
    noisy = Predictions(truth.id, np.clip(answers.p_up + rng.normal(0, 0.02, len(truth)), 0, 0.5), answers.p_down)
    (found,) = paired_differences(truth, [answers, noisy], rng=rng, n_resamples=300)
    a, b = (score_strict(truth, p, rng=rng, n_resamples=300) for p in (answers, noisy))
    for measure, difference in found.items():
        assert difference.value == pytest.approx(getattr(b, measure) - getattr(a, measure))
    own, paired = a.intervals["score"], found["score"].interval
    assert own is not None
    assert paired is not None
    assert paired.high - paired.low < (own.high - own.low) / 2


def test_the_same_answers_differ_by_nothing():
    truth, answers, rng = _set()
    (found,) = paired_differences(truth, [answers, answers], rng=rng, n_resamples=50)
    assert all(d.interval == pytest.approx((0, 0), abs=1e-12) and d.value == 0 for d in found.values())
