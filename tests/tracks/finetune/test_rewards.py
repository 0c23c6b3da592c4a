"""Rewards: better answers earn more, and no answer that is always the same earns more than chance."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.challenge.records import DOWN, LABELS, NONE, UP
from perturbarena.tracks.finetune.rewards import REWARDS, Written, label_weights, trainer_reward

ANSWERS = {
    "right, reasoned": "Stat1 drives Irf7, so it falls.\n\n<answer>B</answer>",
    "right, sure": "P_up=0.02, P_down=0.95, P_none=0.03\n<answer>B</answer>",
    "right, unsure": "P_up=0.20, P_down=0.50, P_none=0.30\n<answer>B</answer>",
    "no opinion": "P_up=0.33, P_down=0.33, P_none=0.34\n<answer>C</answer>",
    "wrong, unsure": "P_up=0.50, P_down=0.30, P_none=0.20\n<answer>A</answer>",
    "wrong, sure": "P_up=0.95, P_down=0.02, P_none=0.03\n<answer>A</answer>",
    "unreadable": "Hard to say.",
}


def rewarded(name: str, text: str, label: str = DOWN, **others) -> float:
    return REWARDS[name](Written(text, label, **others))


def test_correct_favours_right_over_wrong_over_unreadable():
    of = {key: rewarded("correct", text) for key, text in ANSWERS.items()}
    assert of["right, reasoned"] == of["right, sure"] == of["right, unsure"] == pytest.approx(2 / 3)
    assert of["no opinion"] == of["wrong, sure"] == pytest.approx(-1 / 3)
    assert of["unreadable"] == -1


def test_proper_orders_stated_probabilities_by_how_good_they_are():
    order = ["right, sure", "right, unsure", "no opinion", "wrong, unsure", "wrong, sure", "unreadable"]
    values = [rewarded("proper", ANSWERS[key]) for key in order]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert rewarded("proper", ANSWERS["right, reasoned"]) > values[0]  # a bare letter is certainty
    assert values[2] == pytest.approx(0.0, abs=0.02)


def test_proper_is_proper():
    """Whatever one believes, stating it earns most."""
    belief = np.array([0.5, 0.2, 0.3])
    grid = [(i / 20, j / 20) for i in range(21) for j in range(21 - i)]
    earned = {
        (up, down): sum(
            b * rewarded("proper", f"P_up={up:.2f}, P_down={down:.2f}, P_none={1 - up - down:.2f}", label)
            for b, label in zip(belief, LABELS, strict=True)
        )
        for up, down in grid
    }
    assert max(earned, key=lambda key: earned[key]) == (0.5, 0.2)


def test_format_wants_one_answer_at_the_end_of_the_final_part():
    assert rewarded("format", "Why.\n<answer>A</answer>\n") == 0
    assert rewarded("format", "<think>A? <answer>B</answer></think>\n<answer>A</answer>") == 0
    for text in (
        "A",
        "<answer>A</answer> or so",
        "<answer>A</answer><answer>B</answer>",
        "<answer>A or B</answer>",
        "",
    ):
        assert rewarded("format", text) == -1, text


def test_length_is_free_to_a_point_and_then_costs():
    values = [rewarded("length", "", tokens=n, good_tokens=100, max_tokens=200) for n in (0, 100, 150, 200, 900)]
    assert values == [0, 0, -0.5, -1, -1]


@pytest.mark.parametrize("shares", [(1, 1, 1), (1, 2, 7), (0.1, 0.1, 9.8), (4, 1, 0)])
def test_constant_answers_earn_no_more_than_chance(shares):
    labels = np.repeat(np.array(LABELS, object), (np.array(shares) * 30).astype(int))
    weights = label_weights(labels)
    texts = [
        *(f"<answer>{letter}</answer>" for letter in "ABC"),
        *(
            f"P_up={up}, P_down={down}\n<answer>A</answer>"
            for up, down in [(0.2, 0.1), (0.9, 0.05), (1 / 3, 1 / 3)]
        ),
        "no idea",
        "",
    ]
    present = [label for label in LABELS if label in weights]
    for text in texts:
        for name in REWARDS:
            mean = np.mean([REWARDS[name](Written(text, label, weights[label])) for label in labels])
            chance = 0.0 if len(present) == 3 else 1 / 6  # of two labels, a coin is right half the time
            assert mean <= chance + 1e-9 or (name == "proper" and len(present) < 3), (name, text)


def test_a_model_that_tells_questions_apart_earns_more_than_any_constant():
    labels = np.array([UP, DOWN, NONE, NONE, NONE, NONE], object)
    weights = label_weights(labels)
    letter = dict(zip(LABELS, "ABC", strict=True))
    told = [REWARDS["correct"](Written(f"<answer>{letter[x]}</answer>", x, weights[x])) for x in labels]
    always = [REWARDS["correct"](Written("<answer>C</answer>", x, weights[x])) for x in labels]
    assert np.mean(told) == pytest.approx(2 / 3)
    assert np.mean(always) == pytest.approx(0.0)


def test_the_trainer_gets_one_number_for_each_text():
    reward = trainer_reward("correct", weights={UP: 2.0, DOWN: 0.5, NONE: 1.0}, good_tokens=5, max_tokens=9)
    found = reward(["<answer>A</answer>", "?"], completion_ids=[[1], [2, 3]], label=[UP, DOWN], prompts=["a", "b"])
    assert reward.__name__ == "correct"
    assert found == [pytest.approx(4 / 3), -0.5]
