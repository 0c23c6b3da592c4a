"""A budget that is never overdrawn by more than what one request took beyond the largest before it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.errors import InputError
from perturbarena.tracks.running.meter import Meter


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(1, 400), st.integers(1, 40))
def test_tokens_stay_within_the_budget_once_the_largest_is_known(sizes, budget, at_once):
    meter = Meter(max_tokens=budget, largest=50)
    waiting: list[int] = []
    for size in sizes:
        if meter.begin():
            waiting.append(size)
        if len(waiting) == at_once:
            meter.end(waiting.pop(0))
    for size in waiting:
        meter.end(size)
    assert meter.tokens <= budget
    assert meter.under_way == 0


def test_calls_are_counted_when_they_begin_and_some_are_kept_back():
    meter = Meter(max_calls=3, kept_calls=1)
    assert [meter.begin() for _ in range(3)] == [True, True, False]
    meter.kept_calls = 0
    assert meter.begin()
    assert not meter.begin()
    assert meter.as_json()["refused"] == 2
    meter = Meter(max_calls=10)
    meter.spent_before(calls=9, tokens=100, largest=20)
    assert [meter.begin() for _ in range(2)] == [True, False]


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(InputError, match="max_tokens must be at least 1"):
        Meter(max_tokens=0)
