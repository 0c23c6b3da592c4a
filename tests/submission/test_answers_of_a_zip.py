"""Answers out of a checked zip."""

from __future__ import annotations

import numpy as np
import pytest
from tests.submission.drafts import QUESTIONS, draft

from perturbarena.errors import FormatError
from perturbarena.submission import read_answers


def read(draft_, path):
    return read_answers(draft_.write(path), challenge=draft_.challenge, track=draft_.track, questions=QUESTIONS)


def test_answers_come_in_the_questions_order_with_what_they_cost(tmp_path):
    made = draft("B")
    for i in range(len(made.rows)):
        made.set(i, "prediction_up", f"0.{10 + i}")
    made.rows.reverse()
    found = read(made, tmp_path / "s.zip")
    assert list(found.predictions.id) == list(QUESTIONS.id)
    np.testing.assert_allclose(found.predictions.p_up, [float(f"0.{10 + i}") for i in range(12)])
    assert found.tokens == 7
    assert found.tool_calls == 7
    assert found.model == made.challenge.track("B").model.fixed


def test_a_track_without_tool_calls_tells_none(tmp_path):
    assert read(draft("A"), tmp_path / "s.zip").tool_calls is None


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: d.rows.pop(3), "has no row"),
        (lambda d: d.set(2, "prediction_up", "much"), "a number is needed"),
        (lambda d: d.rows[1].pop(), "cells"),
        (lambda d: d.header.__setitem__(0, "name"), "has no column id"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, spoil, told):
    made = draft("A")
    spoil(made)
    with pytest.raises(FormatError, match=told):
        read(made, tmp_path / "s.zip")


def test_a_zip_without_a_table_is_told(tmp_path):
    import zipfile

    path = tmp_path / "s.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "x")
    made = draft("A")
    with pytest.raises(FormatError, match="holds no readable"):
        read_answers(path, challenge=made.challenge, track="A", questions=QUESTIONS)
