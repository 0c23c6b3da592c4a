import numpy as np
import pytest
from scoring_cases import question_set, table_of

from perturbarena.challenge.records import Predictions
from perturbarena.challenge.rules import load_challenge
from perturbarena.evaluation import Answered, score_strict
from perturbarena.evaluation.seeds import seed_spread

CHALLENGE = load_challenge("bioreasoning-2026")


def case(noise):
    truth, base = question_set(2)
    table, ups = table_of(base).astype({"id": object}), []
    for seed in (42, 43, 44):
        rng = np.random.default_rng(seed)
        up = np.clip(base.p_up + noise * rng.normal(size=len(truth)), 0, 1 - base.p_down)
        table[f"prediction_up_seed{seed}"], table[f"prediction_down_seed{seed}"] = up, base.p_down
        ups.append(up)
    mean = Predictions(truth.id, np.mean(ups, axis=0), base.p_down)
    return Answered(truth, truth.gene, (mean,), (table.astype(str),)), ups, base


def test_each_seed_is_scored_as_a_file_of_its_own():
    rows, ups, base = case(0.2)
    found = seed_spread(rows, challenge=CHALLENGE, rng=np.random.default_rng(0), n_resamples=100)
    own = [
        score_strict(
            rows.truth, Predictions(base.id, up, base.p_down), rng=np.random.default_rng(0), n_resamples=0
        )
        for up in ups
    ]
    assert found.seeds == (42, 43, 44)
    assert found.measures["score"].by_seed == pytest.approx([s.score for s in own])
    assert found.measures["DE"].sd_between == pytest.approx(np.std([s.de_auroc for s in own], ddof=1))
    assert found.measures["score"].sd_within > found.measures["score"].sd_between
    assert found.measures["DE"].gain.interval is not None


def test_seeds_that_agree_have_no_variance():
    rows, _, _ = case(0.0)
    found = seed_spread(rows, challenge=CHALLENGE, rng=np.random.default_rng(0), n_resamples=20)
    assert found.measures["score"].sd_between == pytest.approx(0, abs=1e-12)
    assert found.answers["DE"].within == pytest.approx(0, abs=1e-12)
    assert found.answers["DE"].share(1) == pytest.approx(1)


def test_files_without_seeds_have_none():
    rows, _, _ = case(0.1)
    plain = Answered(rows.truth, rows.truth.gene, rows.answers, (table_of(rows.answers[0]).astype(str),))
    assert seed_spread(plain, challenge=CHALLENGE, rng=np.random.default_rng(0)) is None
