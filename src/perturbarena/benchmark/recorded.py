"""What the maker of a question set recorded about its label noise, repeated by the audit.

Labels alone do not show how noisy they are; whoever made them from cells can measure it. The file may come from
anywhere, so whatever it holds is passed on in words and nothing in it is an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from perturbarena.benchmark.overlap import Check

RECORDED: Final = {"label_noise": "label noise", "ceilings": "ceiling"}
"""Keys of ``benchmark.json`` that are repeated, and the name of their checks."""


def recorded_noise(path: Path) -> tuple[Check, ...]:
    """The label noise and ceilings in ``path``; a statement each, none where there is no such file."""
    if not path.is_file():
        return ()
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return (_repeat(path.name, f"{path.name} cannot be read: {' '.join(str(error).split())}"),)
    if not isinstance(record, dict):
        return ()
    return tuple(
        _repeat(f"recorded {name}", sentence)
        for key, name in RECORDED.items()
        for sentence in dict.fromkeys(_sentences(record.get(key)))
    )


def _sentences(value: Any, name: str = "") -> Iterator[str]:
    """One for each dict that has a ``sentence``, else one for the values that stand side by side."""
    if isinstance(value, dict) and isinstance(value.get("sentence"), str):
        yield f"{name}: {value['sentence']}" if name else value["sentence"]
        return
    if not isinstance(value, dict | list):
        if value not in (None, ""):
            yield _plain(value)
        return
    items = value.items() if isinstance(value, dict) else ((_name_of(v), v) for v in value)
    side = []
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from _sentences(inner, f"{name} {key}".strip())
        elif inner is not None:
            side.append(f"{key} {_plain(inner)}".strip().replace("_", " "))
    if side:
        yield (f"{name}: " if name else "") + ", ".join(side)


def _name_of(value: Any) -> str:
    return str(value.get("name") or value.get("target") or "") if isinstance(value, dict) else ""


def _plain(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _repeat(name: str, sentence: str) -> Check:
    return Check(name, None, (), sentence)
