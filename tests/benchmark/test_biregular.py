"""Where every count is the same there is nothing to read off a shape, and the audit must say so exactly."""

from __future__ import annotations

import numpy as np
import pytest
from tests.benchmark.question_cases import biregular, coin

from perturbarena.benchmark import Audit, QuestionSet, Verdict, audit_questions
from perturbarena.benchmark.attacks import targets
from perturbarena.challenge.folds import Folds
from perturbarena.stats import structure as shape

STRUCTURE = (
    "gene rows",
    "perturbation rows",
    "singletons",
    "proportional fitting",
    "graph components",
    "trained on structure",
)


def _audit(questions: QuestionSet) -> Audit:
    return audit_questions(questions, rng=np.random.default_rng(1), n_resamples=100)


def _assert_exactly_chance(found: Audit, rows: str) -> None:
    of = [f for f in found.findings if f.rows == rows and f.attack in STRUCTURE]
    assert len(of) == 2 * len(STRUCTURE)
    for finding in of:
        assert finding.auroc == 0.5, finding
        assert finding.as_json()["interval"] == finding.as_json()["adjusted_interval"] == [0.5, 0.5], finding
        assert finding.verdict is Verdict.clean


@pytest.mark.parametrize("each", [5, 15, 25])  # below, at and above the nine moved genes a perturbation may have
@pytest.mark.parametrize("share", [0.5, 0.13])
def test_constant_counts_give_exactly_chance(each: int, share: float):
    rng = np.random.default_rng(each)
    rows = coin(rng, biregular(rng, each=each), share)
    _assert_exactly_chance(_audit(QuestionSet.of(rows)), "train")


@pytest.mark.parametrize(("learnt", "asked"), [(25, 15), (15, 25), (20, 20)])
def test_test_rows_with_other_counts_than_training_rows(learnt: int, asked: int):
    rng = np.random.default_rng(0)
    train = coin(rng, biregular(rng, each=learnt), 0.4)
    hidden = coin(rng, biregular(rng, each=asked, mark="h"), 0.6)
    found = _audit(
        QuestionSet.of(train, hidden, part=np.where(rng.random(len(hidden)) < 0.5, "Public", "Private"))
    )
    for rows in ("train", "hidden", "hidden (Public)", "hidden (Private)"):
        _assert_exactly_chance(found, rows)


def test_constant_training_counts_teach_nothing_about_uneven_hidden_ones():
    rng = np.random.default_rng(0)
    train = coin(rng, biregular(rng), 0.3)
    uneven = coin(rng, biregular(rng, mark="h"), 0.6).take(np.arange(1000))
    found = {(f.attack, f.target): f for f in _audit(QuestionSet.of(train, uneven)).findings if f.rows == "hidden"}
    for target in ("DE", "DIR"):
        trained = found["trained on structure", target]
        assert (trained.auroc, trained.as_json()["interval"]) == (0.5, [0.5, 0.5])
        assert found["gene rows", target].auroc != 0.5


def test_fits_that_find_no_split_do_not_rank():
    """Without rounding, folds with other shares of positives differ in the last bit, and a tie is none."""
    rng = np.random.default_rng(0)
    rows = coin(rng, biregular(rng), 0.2)
    odd = np.column_stack([np.ones(len(rows)), np.arange(len(rows)) < 5])  # too few rows for a leaf
    folds = Folds.deal(rows.pert, rows.gene, n_folds=3, rng=rng)
    blocks = [(block.train, block.test) for block in folds.blocks()]
    for target in targets(rows):
        score = shape.cross_fitted_score(odd, target.positive, blocks)
        assert np.unique(score).tolist() == [0.0]


@pytest.mark.parametrize("seed", range(6))
def test_a_fair_set_is_not_accused(seed: int):
    """Genes and perturbations differ in how often they move, which no hidden row shares."""
    rng = np.random.default_rng(seed)
    questions = biregular(rng)
    lively = {name: rng.uniform(0.2, 0.8) for name in sorted({*questions.pert, *questions.gene})}
    p = np.array([(lively[q.pert] + lively[q.gene]) / 2 for q in questions])
    found = _audit(QuestionSet.of(coin(rng, questions, p), coin(rng, biregular(rng, mark="h"))))
    assert [f.sentence for f in found.findings if f.verdict is Verdict.leak] == []
    assert found.leaks == 0
