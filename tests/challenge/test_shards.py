from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.challenge.shards import Shard
from perturbarena.errors import InputError


@given(st.integers(1, 12), st.lists(st.integers(), max_size=40))
def test_shards_part_a_list(n, items):
    parts = [Shard.parse(f"{i}/{n}").of(items) for i in range(1, n + 1)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "1", "1/", "/2", "a/2", "1/2/3", "-1/2", "²/3", " 1/2"])
def test_anything_else_is_refused(text):
    with pytest.raises(InputError, match="--shard must be i/n, such as 1/2; got"):
        Shard.parse(text)


@pytest.mark.parametrize("text", ["0/2", "3/2", "1/0"])
def test_a_shard_is_one_of_n(text):
    with pytest.raises(InputError, match="needs 1 ≤ i ≤ n"):
        Shard.parse(text)
