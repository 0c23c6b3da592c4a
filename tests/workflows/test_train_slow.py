"""Rewards rise, a critic beats the majority, a killed training takes the same course: minutes of training each."""

from __future__ import annotations

import pytest
from benchmarks.finetune import rewards, run_critic, run_grpo, run_resumed

pytestmark = pytest.mark.slow  # each trains two or three models and asks them


def test_grpo_raises_the_mean_reward(tmp_path):
    found = run_grpo(tmp_path, seed=0)
    first, last = rewards(found)
    assert last > first + 0.2
    assert {"reward_correct", "reward_format", "length"} <= set(found.history.columns)


def test_best_of_five_by_the_critic_beats_the_majority_of_five(tmp_path):
    found = run_critic(tmp_path, seed=0)
    majority, best = found.right["majority"], found.right["best"]
    only_best, only_majority = (best & ~majority).sum(), (majority & ~best).sum()
    assert only_best > 2 * only_majority
    score = found.weighted.contrasts["score"]
    assert score.difference.interval is not None
    assert score.difference.interval[0] > 0


def test_a_training_killed_and_gone_on_with_has_the_same_history(tmp_path):
    found = run_resumed(tmp_path, seed=0)
    assert found.at >= 20
    assert found.killed.equals(found.whole)
