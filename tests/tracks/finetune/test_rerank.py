"""Several answers made one: each way on answers written by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.errors import InputError
from perturbarena.tracks.finetune.rerank import CRITICS, RERANKS, Candidate, rerank

UP = Candidate("up", 0.7, 0.2)
DOWN = Candidate("down", 0.1, 0.6)
NONE = Candidate("none", 0.1, 0.1)
UNREAD = Candidate("", 0.0, 0.0)


def test_first_passes_over_what_cannot_be_read():
    found = rerank([UNREAD, DOWN, UP], "first")
    assert (found.label, found.p_up, found.p_down, found.chosen) == ("down", 0.1, 0.6, 1)


def test_majority_gives_shares_of_votes():
    found = rerank([UP, DOWN, UP, UNREAD, NONE], "majority")
    assert (found.label, found.chosen) == ("up", None)
    assert (found.p_up, found.p_down) == pytest.approx((0.5, 0.25))


def test_mean_averages_probabilities():
    found = rerank([UP, DOWN, NONE, NONE], "mean")
    assert found.label == "none"
    assert (found.p_up, found.p_down) == pytest.approx((0.25, 0.25))


def test_best_takes_the_answer_with_the_highest_score():
    found = rerank([UP, DOWN, NONE, UNREAD], "best", scores=[0.2, 0.9, 0.5, 1.0])
    assert (found.label, found.chosen) == ("down", 1)
    assert rerank([UP, DOWN], "best", scores=[0.5, 0.5]).chosen == 0  # the first of equals


def test_weighted_lets_good_answers_count_more():
    found = rerank([UP, DOWN], "weighted", scores=[0.1, 0.3])
    assert (found.p_up, found.p_down) == pytest.approx((0.25, 0.5))
    even = rerank([UP, DOWN], "weighted", scores=[0.0, 0.0])  # no opinion
    assert (even.p_up, even.p_down) == pytest.approx((0.4, 0.4))


def test_nothing_readable_is_no_answer():
    for how in RERANKS:
        scores = [1.0, 1.0] if how in CRITICS else None
        assert rerank([UNREAD, UNREAD], how, scores=scores) is None


@pytest.mark.parametrize(
    ("how", "scores", "message"),
    [
        ("best", None, "needs a critic's scores"),
        ("best", [1.0], "one finite score for each of 2"),
        ("weighted", [1.0, float("nan")], "finite"),
        ("weighted", [1.0, -0.5], "must not be negative"),
        ("loudest", None, "one of first, majority"),
    ],
)
def test_wrong_scores_are_refused(how, scores, message):
    with pytest.raises(InputError, match=message):
        rerank([UP, DOWN], how, scores=scores)


@given(
    st.lists(st.sampled_from([UP, DOWN, NONE, UNREAD]), min_size=1, max_size=9),
    st.sampled_from(RERANKS),
    st.integers(0, 2**31),
)
def test_probabilities_stay_probabilities(candidates, how, seed):
    scores = np.random.default_rng(seed).random(len(candidates))
    found = rerank(candidates, how, scores=scores if how in CRITICS else None)
    assert (found is None) == all(not candidate.label for candidate in candidates)
    if found is not None:
        assert 0 <= found.p_up <= 1
        assert 0 <= found.p_down <= 1
        assert found.p_up + found.p_down <= 1 + 1e-12
