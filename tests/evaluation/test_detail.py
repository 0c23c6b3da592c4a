import json

import numpy as np
import pytest
from scoring_cases import question_set
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation.detail import FLOOR, detail
from perturbarena.evaluation.metric import ScoredRows


@pytest.fixture(scope="module")
def case():
    truth, answers = question_set(4, n=400)
    return truth, answers, ScoredRows.of(truth, answers)


@pytest.fixture(scope="module")
def found(case):
    return detail(case[2], case[1], rng=np.random.default_rng(0), n_resamples=200)


def test_every_measure_lies_in_its_interval(found):
    for name, e in found.measures.items():
        assert e.interval is not None, name
        if "calibration" not in name:  # centred on what is left without the bias of small bins
            assert e.interval.low <= e.value <= e.interval.high
        assert e.sd > 0


def test_losses_and_precision_are_those_of_scikit_learn(case, found):
    truth, answers, rows = case
    p = np.column_stack([answers.p_down, 1 - answers.p_up - answers.p_down, answers.p_up])
    assert found.measures["log_score"].value == pytest.approx(log_loss(truth.label.astype(str), p))
    one_hot = truth.label[:, None] == np.array(["down", "none", "up"], object)
    assert found.measures["brier"].value == pytest.approx(((p - one_hot) ** 2).sum(axis=1).mean())
    precision = average_precision_score(truth.is_de, rows.de_score)
    assert found.measures["de_average_precision"].value == pytest.approx(precision)


def test_single_perturbations_are_averaged(case, found):
    truth, _, rows = case
    own = [
        roc_auc_score(truth.is_de[of], rows.de_score[of])
        for name in set(truth.pert)
        if 0 < truth.is_de[of := truth.pert == name].sum() < of.sum()
    ]
    assert found.measures["de_per_pert"].value == pytest.approx(np.mean(own))
    assert found.measures["de_per_pert"].of == len(own)


def test_reliability_bins_hold_all_rows_and_their_averages(case, found):
    truth, answers, _ = case
    bins = found.reliability["de"]
    assert sum(p.n for p in bins) == len(truth)
    assert sum(p.n * p.x for p in bins) == pytest.approx((answers.p_up + answers.p_down).sum())
    assert sum(p.n * p.y for p in bins) == pytest.approx(truth.is_de.sum())
    assert sum(p.n for p in found.reliability["dir"]) == truth.is_de.sum()


def test_answering_everything_is_the_error_rate(case, found):
    truth, answers, _ = case
    p = np.column_stack([answers.p_up, answers.p_down, 1 - answers.p_up - answers.p_down])
    wrong = np.array(["up", "down", "none"])[p.argmax(axis=1)] != truth.label
    assert found.abstention[-1].y == pytest.approx(wrong.mean())
    assert [point.x for point in found.abstention] == pytest.approx(np.arange(1, 11) / 10)


def test_certain_mistakes_are_floored_and_counted():
    truth, _ = question_set(0)
    sure = Predictions(truth.id, np.ones(len(truth)), np.zeros(len(truth)))
    found = detail(ScoredRows.of(truth, sure), sure, rng=np.random.default_rng(0), n_resamples=0)
    wrong = int((truth.label != "up").sum())
    assert found.n_floored == wrong
    assert found.measures["log_score"].value == pytest.approx(-np.log(FLOOR) * wrong / len(truth))
    assert found.measures["brier"].interval is None
    assert found.measures["brier"].why == "no resamples were asked for"


def test_nothing_moved_is_undefined_and_json_all_the_same():
    truth, answers = question_set(0)
    truth = LabelledQuestions(truth.questions, np.full(len(truth), "none", object))
    shown = detail(ScoredRows.of(truth, answers), answers, rng=np.random.default_rng(0), n_resamples=20).as_json()
    json.dumps(shown, allow_nan=False)
    assert shown["measures"]["de_per_gene"]["value"] is None
    assert shown["measures"]["dir_calibration_error"]["why"] == "no row moved"
    assert shown["reliability"]["dir"] == []
    assert set(shown["measures"]["brier"]) == {"value", "interval", "sd", "of", "unit", "why"}
