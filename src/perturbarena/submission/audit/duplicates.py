"""Rules on two submissions that are too much alike: predictions, traces, prompts, tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from typing import Final, NamedTuple

import numpy as np

from perturbarena.submission.audit.case import Case
from perturbarena.submission.audit.metadata import LEAST_ROWS
from perturbarena.submission.audit.patterns import LONG
from perturbarena.submission.audit.ranks import rank_correlation
from perturbarena.submission.audit.rules import Finding, Hit, Severity, finding, many

ALIKE: Final = 0.999
"""Rank correlation, ties included, from which two rankings are one; two runs of one model reach about 0.8."""
VARIED: Final = 30
"""Rows that must differ from a ranking's most frequent answer: two runs that always say 'none' are no copy."""
COARSE: Final = 10
"""Different answers up to which only predictions equal on all rows tell: three seeds' labels give ten pairs."""
SMALL_FILE: Final = 200
"""Bytes below which equal files mean nothing."""


class PairRule(NamedTuple):
    """A rule on two submissions; its function's docstring says what it looks for."""

    name: str
    severity: Severity
    check: Callable[[Case, Case], Iterable[Hit]]


class Pair(NamedTuple):
    """Two submissions and what they share."""

    first: Case
    second: Case
    findings: tuple[Finding, ...]


def compare_all(cases: list[Case], others: list[Case]) -> list[Pair]:
    """Each pair of cases, and each case with each of the others; pairs without findings are left out."""
    pairs = [*combinations(cases, 2), *((case, other) for case in cases for other in others)]
    found = [Pair(a, b, tuple(compare(a, b))) for a, b in pairs]
    return [pair for pair in found if pair.findings]


def compare(a: Case, b: Case) -> Iterator[Finding]:
    """What two submissions to the same questions share."""
    for rule in PAIR_RULES:
        for hit in rule.check(a, b):
            yield finding(rule.name, rule.severity, hit)


def same_predictions(a: Case, b: Case) -> Iterator[Hit]:
    """Two submissions whose predictions rank the questions alike (correlation 0.999, ties included; coarse
    answers: equal on all rows, 30 of them off the most frequent).
    """
    rows = a.present & b.present & np.isfinite(a.p_up + a.p_down + b.p_up + b.p_down)
    if rows.sum() < LEAST_ROWS:
        return
    pairs = list(zip(a.p_up[rows], a.p_down[rows], strict=True))
    other = list(zip(b.p_up[rows], b.p_down[rows], strict=True))
    counts = Counter(pairs)
    if len(pairs) - counts.most_common(1)[0][1] < VARIED:
        return
    equal = np.array([x == y for x, y in zip(pairs, other, strict=True)])
    where = np.flatnonzero(rows)
    if equal.all() or (len(counts) > COARSE and equal.mean() >= 0.9):
        yield Hit(
            f"{_two(a, b)} have equal predictions on {equal.sum():,} of {len(equal):,} rows", a.ids(where[equal])
        )
        return
    if len(counts) <= COARSE:
        return
    moved = rank_correlation((a.p_up + a.p_down)[rows], (b.p_up + b.p_down)[rows])
    sign = rank_correlation((a.p_up - a.p_down)[rows], (b.p_up - b.p_down)[rows])
    if moved >= ALIKE and sign >= ALIKE:
        yield Hit(f"{_two(a, b)} rank {len(equal):,} questions alike: correlations {moved:.5f} and {sign:.5f}")


def same_traces(a: Case, b: Case) -> Iterator[Hit]:
    """The same text of 250 characters or more in two submissions (5 rows and 1 %; fewer: warning)."""
    theirs = {" ".join(text.split()) for spoken in b.spoken() for text in spoken.text if len(text) >= LONG}
    rows = [
        i
        for i in range(a.n)
        if any(len(s.text[i]) >= LONG and " ".join(s.text[i].split()) in theirs for s in a.spoken())
    ]
    if rows:
        what = f"{_two(a, b)} share the text of {len(rows):,} traces"
        yield Hit(what, a.ids(rows), None if many(len(rows), a.n) else "warning")


def same_prompt(a: Case, b: Case) -> Iterator[Hit]:
    """The same prompt in two submissions."""
    for name in _shared(a, b, role="prompt"):
        yield Hit(f"{_two(a, b)} have the same {name}")


def same_files(a: Case, b: Case) -> Iterator[Hit]:
    """The same tool file of 200 bytes or more in two submissions; both may have it from a public source."""
    names = _shared(a, b, role="tools")
    if names:
        yield Hit(f"{_two(a, b)} share {len(names)} tool files byte for byte, such as {names[0]}")


def _shared(a: Case, b: Case, *, role: str) -> list[str]:
    def of(case: Case) -> dict[str, str]:
        found = {}
        for name, file in case.files.items():
            entry = case.rules.entry_for(name)
            if entry is not None and entry.role == role and file.n_bytes >= SMALL_FILE and file.sha256:
                found[file.sha256] = name
        return found

    ours, theirs = of(a), of(b)
    return sorted(ours[h] for h in ours.keys() & theirs.keys())


def _two(a: Case, b: Case) -> str:
    return f"{a.path.name} and {b.path.name}" if a.path.name != b.path.name else f"{a.path} and {b.path}"


PAIR_RULES: Final = (
    PairRule("duplicate.predictions", "severe", same_predictions),
    PairRule("duplicate.traces", "severe", same_traces),
    PairRule("duplicate.prompt", "note", same_prompt),
    PairRule("duplicate.files", "warning", same_files),
)
