from __future__ import annotations

import pytest

from perturbarena.challenge.words import counted


@pytest.mark.parametrize(
    ("n", "noun", "many", "said"),
    [
        (0, "row", None, "0 rows"),
        (1, "row", None, "1 row"),
        (4328, "pair", None, "4,328 pairs"),
        (1, "stratum", "strata", "1 stratum"),
        (26, "stratum", "strata", "26 strata"),
    ],
)
def test_a_number_agrees_with_its_noun(n: int, noun: str, many: str | None, said: str) -> None:
    assert counted(n, noun, many) == said
