"""Parts of rows, shares of the score, the front, and what a prompt may not tell."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from evolve_cases import LIMITS, ROWS, TEMPLATE
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from perturbarena.challenge.records import Predictions, Questions
from perturbarena.errors import InputError
from perturbarena.evaluation import score_strict
from perturbarena.workflows.evolve import Candidate, Guard, deal_parts, pareto_front, row_shares
from perturbarena.workflows.evolve.candidate import exchanged, first_shots
from perturbarena.workflows.evolve.reflection import request, template_in, wrong_answer

PARTS = deal_parts(ROWS, most=LIMITS.rows, rng=np.random.default_rng(0))


def test_parts_share_no_perturbation_and_no_gene_whatever_the_order_of_rows():
    for one, other in combinations((PARTS.train, PARTS.selection, PARTS.confirmation), 2):
        assert not set(one.pert) & set(other.pert)
        assert not set(one.gene) & set(other.gene)
    shuffled = ROWS.take(np.random.default_rng(1).permutation(len(ROWS)))
    again = deal_parts(shuffled, most=LIMITS.rows, rng=np.random.default_rng(0))
    assert again.table().equals(PARTS.table())
    assert sum(PARTS.counts().values()) == len(ROWS)
    assert all(len(PARTS.of(name)) <= most for name, most in LIMITS.rows.items())


def test_too_few_rows_to_score_are_told():
    with pytest.raises(InputError, match="selection rows need at least 5 of each label"):
        deal_parts(ROWS.take(np.arange(60)), most=LIMITS.rows, rng=np.random.default_rng(0))


def test_the_mean_of_the_shares_is_the_score():
    rng = np.random.default_rng(3)
    rows = PARTS.selection
    p = np.round(rng.dirichlet((1, 1, 1), size=len(rows)), 1)  # rounded: with ties
    answers = Predictions(rows.id, p[:, 0], p[:, 1])
    shares = row_shares(rows, answers)
    found = score_strict(rows, answers, rng=rng, n_resamples=0)
    assert shares.de.mean() == pytest.approx(found.de_auroc)
    assert shares.direction.mean() == pytest.approx(found.dir_auroc)
    assert shares.score.mean() == pytest.approx(found.score)


def test_rows_of_one_label_have_no_opinion():
    rows = PARTS.train.take(np.flatnonzero(PARTS.train.label == "none")[:4])
    shares = row_shares(rows, Predictions(rows.id, np.linspace(0, 1, 4), np.zeros(4)))
    assert (shares.score == 0.5).all()


@given(arrays(float, st.tuples(st.integers(1, 12), st.just(3)), elements=st.integers(0, 3).map(float)))
def test_the_front_is_that_of_a_naive_loop(values):
    naive = [not any((other >= one).all() and (other > one).any() for other in values) for one in values]
    assert pareto_front(values).tolist() == naive


def test_shots_are_training_rows_and_one_is_exchanged_for_a_wrong_one():
    rng = np.random.default_rng(0)
    shots = first_shots(PARTS.train, 5, rng=rng)
    label = dict(zip(PARTS.train.id, PARTS.train.label, strict=True))
    assert sorted(label[id_] for id_ in shots) == ["down", "down", "none", "up", "up"]
    wrong = tuple(id_ for id_ in PARTS.train.id if id_ not in shots)[:40]
    changed = exchanged(shots, wrong, PARTS.train, rng=rng)
    new = set(changed) - set(shots)
    assert len(new) == 1
    assert new <= set(wrong)
    assert sorted(label[id_] for id_ in changed) == sorted(label[id_] for id_ in shots)
    assert Candidate.from_texts(Candidate(TEMPLATE, changed).as_texts()) == Candidate(TEMPLATE, changed)


def test_a_reflection_shows_wrong_answers_and_a_reply_holds_a_template():
    wrong = wrong_answer("a", "Stat1", "Irf7", said="It goes up. " * 500, answer="up", right="down")
    text = request("Does {pert} move {gene}?", [wrong])
    assert "```\nDoes {pert} move {gene}?\n```" in text
    assert "Perturbed gene: Stat1; target gene: Irf7" in text
    assert len(text) < 4_500
    assert template_in("Sure:\n```text\nAsk {pert}\non {gene}\n```\nDone.") == "Ask {pert}\non {gene}\n"
    assert template_in("Ask {pert} on {gene}") == "Ask {pert} on {gene}\n"


ASKED = Questions.from_pairs(["Stat1", "Tlr4", "Set"], ["Irf7", "Il6", "Max"])
GUARD = Guard([ASKED])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (TEMPLATE, False),
        ("Stat1 is a transcription factor.", False),
        ("Irf7 is an interferon gene.\n\n\n\nStat1 is upstream of many.", False),
        ("Stat1 and Il6 are both known.", False),
        ("set the max of what you know", False),
        ("Losing Stat1 lowers Irf7.", True),
        ("Losing STAT1 lowers IRF7.", True),
        ("Perturbed gene: Tlr4\nTarget gene: Il6\n<answer>B</answer>", True),
        ("stat1,irf7,down", True),
        ('{"tlr4": {"il6": "down"}}', True),
        ("as in stat1_irf7", True),
    ],
)
def test_a_prompt_that_tells_of_asked_pairs_is_refused(text, told):
    assert bool(GUARD.why_not(text)) == told
