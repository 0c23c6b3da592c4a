"""What a report shows beside a score: the ceilings of its question set, and the audit's findings.

Both files may come from another version or another tool, so unknown and missing fields are passed over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.challenge.formats import read_table
from perturbarena.errors import FormatError
from perturbarena.report.page_record import NAN, AuditPart, FindingLine, Mark, Value

CEILINGS: Final = {
    "split_half": (
        "other half of the cells",
        "labels of one half of the screen's cells, ranked by the effects in the other half; at least this much "
        "can be reached.",
    ),
    "gene_mean": ("gene mean", "knowing of each gene how often it moves, and which way, but no knockout."),
    "perturbation_mean": ("knockout mean", "knowing of each knockout how much it moves, but no gene."),
}
"""Names in ``benchmark.json``, what the page calls them, and what they are."""
HIDDEN: Final = {"Public": "validation", "Private": "test"}
"""Hidden splits by what ``Usage`` calls them."""


class Beside(NamedTuple):
    """Ceilings to draw on the scale, and a sentence on them."""

    marks: tuple[Mark, ...]
    note: str


def ceilings_beside(benchmark: Path | None, ids: np.ndarray, usage: str | None = None) -> Beside:
    """The ceilings in ``BENCH/benchmark.json`` of the split that holds these ids.

    A built set's ``test.csv`` holds two hidden splits; ``usage`` says which, or both are averaged.

    Raises
    ------
    FormatError
        If the folder has no ``benchmark.json``, or it is no JSON.
    """
    if benchmark is None:
        return Beside((), "No ceiling is known for this question set, so the scale ends at 1.")
    path = benchmark / "benchmark.json" if benchmark.is_dir() else benchmark
    record = load_json(path)
    ceilings = record.get("ceilings") if isinstance(record, dict) else None
    if not isinstance(ceilings, dict) or not ceilings or "not_measured" in ceilings:
        return Beside((), f"{path.name} has no ceilings, so the scale ends at 1.")
    splits = _splits_of(path.parent, ceilings, ids, usage)
    if not splits:
        return Beside((), f"The questions are of no split whose ceilings {path.name} gives.")
    marks = []
    for name, (shown, note) in CEILINGS.items():
        value = _mean_score([ceilings[split].get(name) for split in splits])
        if value is not None:
            marks.append(Mark(shown, value, note))
    of = f"of the split {splits[0]}" if len(splits) == 1 else f"means over {' and '.join(splits)}, by their rows"
    return Beside(tuple(sorted(marks, key=lambda m: m.value)), f"Marks on the scale are {of}." if marks else "")


def audit_part(path: Path) -> AuditPart:
    """The findings that ``benchmark audit --json`` wrote.

    Raises
    ------
    FormatError
        If the file is not an audit.
    """
    record = load_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("findings"), list):
        raise FormatError(f"{path} is not an audit: a list named findings is needed (benchmark audit --json)")
    findings = [_finding(f) for f in record["findings"] if isinstance(f, dict)]
    checks = [
        (str(c.get("check", "")), _count(c.get("count")), str(c.get("verdict", "")), str(c.get("sentence", "")))
        for c in record.get("checks", [])
        if isinstance(c, dict)
    ]
    leaks = record.get("leaks")
    if not isinstance(leaks, int):
        leaks = sum(f.verdict == "leak" for f in findings) + sum(c[2] == "leak" for c in checks)
    return AuditPart(leaks, findings, checks)


def load_json(path: Path) -> Any:
    """A JSON file's value.

    Raises
    ------
    FormatError
        If there is no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FormatError(f"no such file: {path}") from error
    except (OSError, ValueError) as error:
        raise FormatError(f"{path} cannot be read as JSON: {' '.join(str(error).split())}") from error


def _splits_of(folder: Path, ceilings: Mapping[str, Any], ids: np.ndarray, usage: str | None) -> tuple[str, ...]:
    """The splits whose file holds all ids; the only one where there is but one and no file says otherwise."""
    splits = [name for name, found in ceilings.items() if isinstance(found, dict)]
    for name in splits:
        file = folder / f"{Path(name).name}.csv"
        if file.is_file() and set(ids) <= set(read_table(file, required=("id",))["id"]):
            hidden = tuple(name for name in HIDDEN.values() if name in splits)
            both_in_one = name == "test" and not (folder / "validation.csv").is_file()
            if both_in_one and usage is not None:
                return tuple(split for split in hidden if split == HIDDEN.get(usage))
            return hidden if both_in_one else (name,)
    if len(splits) == 1 and not (folder / f"{Path(splits[0]).name}.csv").is_file():
        return (splits[0],)
    return ()


def _mean_score(ceilings: Sequence[Any]) -> float | None:
    """Mean of the splits' scores, with their rows as weights; None where one has none."""
    found = [c if isinstance(c, dict) else {"score": c} for c in ceilings]
    scores = [_number(c.get("score")) for c in found]
    rows = [_number(c.get("n"), 1.0) for c in found]
    if any(math.isnan(score) for score in scores) or not sum(rows) > 0:
        return None
    return float(np.average(scores, weights=rows))


def _finding(found: Mapping[str, Any]) -> FindingLine:
    interval = found.get("interval")
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    return FindingLine(
        attack=str(found.get("attack", "")),
        rows=str(found.get("rows", "")),
        target=str(found.get("target", "")),
        value=Value(*(_number(x) for x in (found.get("auroc"), low, high))),
        chance=_number(found.get("chance"), 0.5),
        verdict=str(found.get("verdict", "")),
        sentence=str(found.get("sentence", "")),
    )


def _number(value: Any, otherwise: float = NAN) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else otherwise


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else "–"
