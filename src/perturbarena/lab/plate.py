"""The order as a laboratory reads it: a line a well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from perturbarena.errors import InputError
from perturbarena.lab.proposal import Proposed

PLATES: Final[Mapping[int, tuple[int, int]]] = {96: (8, 12), 384: (16, 24)}
"""Wells → rows and columns."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for a formula; reasons may come from a language model."""


def plate_table(
    picks: Sequence[Proposed], guides: Mapping[str, Sequence[str]], *, wells: int = 96
) -> pd.DataFrame:
    """Plate, well, gene, guide (blank where none), score, reason, expected; filled column by column.

    Raises
    ------
    InputError
        If there are no plates of that size.
    """
    if wells not in PLATES:
        raise InputError(f"a plate has {' or '.join(map(str, PLATES))} wells; got {wells}")
    rows, columns = PLATES[wells]
    lines = [(pick, guide) for pick in picks for guide in (guides.get(pick.name) or ("",))]
    table = []
    for i, (pick, guide) in enumerate(lines):
        column, row = divmod(i % wells, rows)
        assert column < columns
        table.append(
            {
                "plate": i // wells + 1,
                "well": f"{chr(ord('A') + row)}{column + 1:02d}",
                "gene": pick.name,
                "guide": guide,
                "score": f"{pick.score:.6g}",
                "reason": _plain(pick.hypothesis.why),
                "expected": _plain(pick.hypothesis.said()),
            }
        )
    names = ["plate", "well", "gene", "guide", "score", "reason", "expected"]
    return pd.DataFrame(table, columns=pd.Index(names, dtype=object))


def _plain(text: str) -> str:
    line = " ".join(text.split())
    return f"'{line}" if line.startswith(_FORMULA) else line
