"""The board as CSV that a spreadsheet may open: what strangers wrote is kept from being read as a formula."""

from __future__ import annotations

import csv
import io
from typing import Any, Final

from perturbarena.leaderboard.board import Board

COLUMNS: Final = (
    "kind", "rank", "group", "team", "score", "low", "high", "de", "dir", "n", "tokens", "tool_calls", "model",
    "received_at", "submission", "n_submissions", "code_url", "note",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def board_csv(board: Board) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for row in board.rows:
        record = row.as_json()
        writer.writerow([_cell(record[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would compute gets an apostrophe before it.

    Why: https://owasp.org/www-community/attacks/CSV_Injection
    """
    if value is None:
        return ""
    if isinstance(value, str) and value.lstrip().startswith(_FORMULA):
        return f"'{value}"
    return value
