"""What a rule of the audit is, and what it may say.

A rule looks at a :class:`~perturbarena.submission.audit.case.Case` and yields what it found. ``severe`` is kept
for what an honest run cannot show: the submission's own content disproves something that it states.
``warning`` asks for a look, ``note`` describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from perturbarena.submission.audit.case import Case
from perturbarena.submission.problems import printable

Severity = Literal["severe", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("severe", "warning", "note")
"""Worst first."""
MAX_ROWS: Final = 50
"""Ids listed with one finding; the message has the true number."""
MAX_MESSAGE: Final = 1_000
"""Characters of a message: what is quoted in it was written by strangers."""


class Hit(NamedTuple):
    """What a rule saw: a sentence with the evidence, ids, and a severity where it is not the rule's own."""

    message: str
    rows: Sequence[str] = ()
    severity: Severity | None = None


class Rule(NamedTuple):
    """A rule: its name, the worst it can say, and the function that looks; its docstring says what for."""

    name: str
    severity: Severity
    check: Callable[[Case], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the rule that made it, how bad it is, a sentence with the evidence, and ids (at most 50)."""

    rule: str
    severity: Severity
    message: str
    rows: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {"rule": self.rule, "severity": self.severity, "message": self.message, "rows": list(self.rows)}


def finding(name: str, severity: Severity, hit: Hit) -> Finding:
    """A finding of a hit: on one line, with at most ``MAX_ROWS`` ids and their true number."""
    message = printable(hit.message)
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + "…"
    if len(hit.rows) > MAX_ROWS:
        message += f" ({MAX_ROWS} of {len(hit.rows):,} rows listed)"
    return Finding(name, hit.severity or severity, message, tuple(hit.rows[:MAX_ROWS]))


def apply(rules: Iterable[Rule], case: Case) -> Iterator[Finding]:
    """What each rule finds."""
    for rule in rules:
        for hit in rule.check(case):
            yield finding(rule.name, rule.severity, hit)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sorted by severity; the order within one stays."""
    return tuple(sorted(findings, key=lambda f: SEVERITIES.index(f.severity)))


def looks_for(check: Callable[..., object]) -> str:
    """A rule's description: its function's docstring, on one line."""
    return " ".join((check.__doc__ or "").split()).removesuffix(".")


def many(n_rows: int, n_all: int, *, share: float = 0.01, least: int = 5) -> bool:
    """Whether so many rows are beyond a slip: at least ``least`` and at least ``share`` of all."""
    return n_rows >= max(least, share * n_all)


def shown(text: str, length: int = 60) -> str:
    """A stranger's words for a message: short, in quotes."""
    return repr(text if len(text) <= length else text[:length] + "…")
