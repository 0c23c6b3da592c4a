"""One gene's name in another species."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Final

from perturbarena.errors import FormatError
from perturbarena.knowledge.features import read_text

COLUMNS: Final = ("human_symbol", "mouse_symbol", "support_n")


def read_orthologs(path: Path | str) -> dict[str, str]:
    """The human orthologue of each mouse gene: of several, the best supported, then the first by name.

    Parameters
    ----------
    path
        TSV (``.gz`` too) with the columns human_symbol, mouse_symbol and support_n.

    Raises
    ------
    FormatError
        If the file cannot be read, lacks a column, or has a support_n that is no number.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter="\t")
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise FormatError(f"{path} needs the columns {', '.join(COLUMNS)}; it lacks {', '.join(missing)}")
    best: dict[str, tuple[float, str]] = {}
    for line, cells in enumerate(reader, start=2):
        try:
            found = (-float(cells["support_n"]), cells["human_symbol"])
        except (TypeError, ValueError) as error:
            raise FormatError(
                f"{path}: support_n must be a number; got {cells['support_n']!r} (line {line})"
            ) from error
        mouse = cells["mouse_symbol"]
        if mouse and cells["human_symbol"] and found < best.get(mouse, (float("inf"), "")):
            best[mouse] = found
    return {mouse: human for mouse, (_, human) in best.items()}
