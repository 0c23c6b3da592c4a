"""The records: columns of one length, labels of three kinds, and no label on a question."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.challenge.records import LABELS, UNANSWERED, LabelledQuestions, Predictions, Question, Questions
from perturbarena.errors import InputError

NAMES = st.text(min_size=1, max_size=8)


@given(st.lists(st.tuples(NAMES, NAMES, st.sampled_from(LABELS)), max_size=20), st.data())
def test_taking_rows_keeps_columns_together(rows, data):
    pert, gene, label = (np.asarray([row[k] for row in rows], object) for k in range(3))
    labelled = LabelledQuestions(Questions.from_pairs(pert, gene), label)
    index = np.asarray(data.draw(st.lists(st.integers(0, max(len(rows) - 1, 0)), max_size=10 if rows else 0)), int)
    taken = labelled.take(index)
    assert list(taken.questions) == [Question(f"{rows[i][0]}_{rows[i][1]}", rows[i][0], rows[i][1]) for i in index]
    assert list(taken.label) == [rows[i][2] for i in index]
    mask = np.isin(np.arange(len(rows)), index)
    assert len(labelled.take(mask)) == mask.sum()


def test_names_are_kept_as_they_are():
    questions = Questions.from_pairs(["NA", " x y "], ["nan", "None"])
    assert list(questions.id) == ["NA_nan", " x y _None"]
    assert all(isinstance(name, str) for name in questions.pert)


def test_a_question_has_no_label():
    assert [field.name for field in dataclasses.fields(Question)] == ["id", "pert", "gene"]
    assert [field.name for field in dataclasses.fields(Questions)] == ["id", "pert", "gene"]


def test_what_labels_mean():
    rows = LabelledQuestions(
        Questions.from_pairs(["a", "b", "c"], ["x", "y", "z"]), np.asarray(["up", "down", "none"], object)
    )
    assert rows.is_de.tolist() == [True, True, False]
    assert rows.is_up.tolist() == [True, False, False]
    assert (list(rows.id), list(rows.pert), list(rows.gene)) == (["a_x", "b_y", "c_z"], list("abc"), list("xyz"))


@pytest.mark.parametrize("label", ["Up", "", "NA", None, 1.0, float("nan")])
def test_a_wrong_label_is_named_with_its_row(label):
    with pytest.raises(InputError, match=r"must be one of up, down, none; got .* \(row b_y\)"):
        LabelledQuestions(Questions.from_pairs(["a", "b"], ["x", "y"]), np.asarray(["up", label], object))


def test_columns_of_different_lengths_are_refused():
    with pytest.raises(InputError, match=r"columns must have one length; got .*'gene': 1"):
        Questions(np.asarray(["a", "b"], object), np.asarray(["a", "b"], object), np.asarray(["a"], object))
    with pytest.raises(InputError, match="one length"):
        LabelledQuestions(Questions.from_pairs(["a", "b"], ["x", "y"]), np.asarray(["up"], object))
    with pytest.raises(InputError, match="one length"):
        Predictions(np.asarray(["a"], object), np.zeros(2), np.zeros(1))
    with pytest.raises(InputError, match="one-dimensional"):
        Questions(np.asarray([["a"]], object), np.asarray(["a"], object), np.asarray(["a"], object))


def test_predictions_are_float64_and_unchecked():
    predictions = Predictions(["a", "b"], [0, 2], [1, -1])
    assert predictions.p_up.dtype == np.float64
    assert predictions.take(np.asarray([1])).p_up.tolist() == [2.0]


def test_no_opinion_is_a_third_each():
    assert UNANSWERED == (1 / 3, 1 / 3)


def test_records_are_frozen():
    questions = Questions.from_pairs(["a"], ["x"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        questions.id = questions.pert  # pyright: ignore[reportAttributeAccessIssue]
