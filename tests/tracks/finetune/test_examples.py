"""From rows and recorded answers to examples: nothing of a held-back row gets in."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from tests.tracks.finetune.training_cases import family_rows

from perturbarena.challenge.records import LABELS, NONE, LabelledQuestions, Predictions, Questions
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.finetune.examples import (
    answer_examples,
    balanced,
    ordered,
    probability_examples,
    rationale_examples,
    split_rows,
)
from perturbarena.tracks.finetune.options import option_text, read_text
from perturbarena.tracks.finetune.settings import TargetSettings
from perturbarena.tracks.finetune.traces import judge_traces, read_traces

RNG = np.random.default_rng


def some_rows() -> LabelledQuestions:
    pairs = Questions.from_pairs(["A", "A", "B", "C"], ["x", "y", "y", "z"])
    return LabelledQuestions(pairs, np.array(["up", "down", "none", "none"], object))


def test_rows_held_back_share_no_name_with_those_trained_on():
    rows = family_rows()
    split = split_rows(rows, folds=4, rng=RNG(0))
    assert not set(split.train.pert) & set(split.validation.pert)
    assert not set(split.train.gene) & set(split.validation.gene)
    assert len(split.train) + len(split.validation) + split.left_out == len(rows)
    again = split_rows(rows, folds=4, rng=RNG(0))
    assert list(again.validation.id) == list(split.validation.id)


def test_too_few_rows_to_split_are_told():
    with pytest.raises(InputError, match="cannot be split 2 ways"):
        split_rows(some_rows(), folds=2, rng=RNG(0))


def test_only_right_traces_of_training_rows_become_rationales():
    rows = some_rows()
    recorded = [
        (
            "A_x",
            "<think>A <answer>drives</answer> x away.</think>\nP_up=0.7, P_down=0.1\n<answer>A</answer>",
        ),
        ("A_x", "Wrong turn.\n<answer>B</answer>"),
        ("A_x", "<answer>A</answer>"),
        ("A_y", "Hm."),
        ("Q_q", "Held back.\n<answer>A</answer>"),
    ]
    traces = judge_traces(recorded, rows)
    assert (traces.unreadable, traces.other_rows) == (1, 1)
    assert traces.share_right() == {"A_x": pytest.approx(2 / 3)}
    (example,) = rationale_examples(rows, traces, most=4, rng=RNG(0))
    assert (example.question.id, example.reasoning, example.answer) == (
        "A_x",
        "A drives x away.",
        option_text("up"),
    )
    with pytest.raises(InputError, match="none of the 1 recorded answers"):
        rationale_examples(rows, judge_traces(recorded[1:2], rows), most=4, rng=RNG(0))


def test_so_many_traces_of_a_question_and_no_text_twice():
    rows = some_rows()
    recorded = [("A_x", f"Reason {i % 5}.\n<answer>A</answer>") for i in range(20)]
    kept = judge_traces(recorded, rows).right(most=3, rng=RNG(0))
    assert len(kept) == 3 == len({trace.text for trace in kept})


def test_traces_come_from_tables_and_anything_else_is_told(tmp_path):
    (tmp_path / "a.csv").write_text("id,reasoning_trace\nA_x,<answer>A</answer>\n", encoding="utf-8")
    assert read_traces([tmp_path / "a.csv"], column="reasoning_trace") == [("A_x", "<answer>A</answer>")]
    with pytest.raises(FormatError, match="no run folder"):
        read_traces([tmp_path], column="reasoning_trace")


def test_probabilities_lean_on_the_label_and_a_little_on_soft_answers():
    rows = some_rows()
    soft = Predictions(rows.id, np.array([0.5, 0, 0, 0.2]), np.array([0.5, 1, 0, 0.2]))
    examples = probability_examples(rows, soft, smoothing=0.2)
    read = [read_text(example.answer) for example in examples]
    assert [r.label for r in read] == list(rows.label)
    assert (read[0].p_up, read[0].p_down) == (pytest.approx(0.9), pytest.approx(0.1))
    shares = read_text(probability_examples(rows, None, smoothing=0.4)[2].answer)
    assert (shares.p_up, shares.p_down) == (pytest.approx(0.1), pytest.approx(0.1))
    with pytest.raises(InputError, match=r"lacks 1 of 4 rows, e\.g\. C_z"):
        probability_examples(rows, soft.take(np.arange(3)), smoothing=0.2)
    wrong = Predictions(rows.id, np.array([0.9, 0, 0, 0]), np.array([0.9, 0, 0, 0]))
    with pytest.raises(InputError, match="sum to 1 at most"):
        probability_examples(rows, wrong, smoothing=0.2)


def test_balance_repeats_rarer_labels():
    examples = balanced(answer_examples(some_rows()), rng=RNG(0))
    assert Counter(e.label for e in examples) == dict.fromkeys(LABELS, 2)
    assert len({e.question.id for e in examples if e.label == NONE}) == 2


def test_curricula_order_every_pass():
    examples = answer_examples(some_rows(), ease={"C_z": 1.0, "A_y": 0.5})
    moved = ordered(examples, TargetSettings(curriculum="moved_first"), epochs=2, rng=RNG(0))
    assert [e.label == NONE for e in moved] == [False, False, True, True] * 2
    easy = ordered(examples, TargetSettings(curriculum="easy_first"), epochs=1, rng=RNG(0))
    assert [e.question.id for e in easy[:2]] == ["C_z", "A_y"]
    mixed = ordered(examples, TargetSettings(), epochs=3, rng=RNG(0))
    assert Counter(e.question.id for e in mixed) == dict.fromkeys([e.question.id for e in examples], 3)
