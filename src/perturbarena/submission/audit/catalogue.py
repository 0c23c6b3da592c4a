"""Every rule of the audit in one table, and the audit itself: all rules applied to one submission.

``docs/audit-submission.md`` holds :func:`audit_rules_markdown` word for word; a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from perturbarena.submission.audit import answers, code, metadata, named, pasted, patterns
from perturbarena.submission.audit.case import Case
from perturbarena.submission.audit.duplicates import PAIR_RULES
from perturbarena.submission.audit.rules import SEVERITIES, Finding, Rule, apply, looks_for, worst_first

RULES: Final[tuple[Rule, ...]] = (
    *metadata.RULES,
    *patterns.RULES,
    *answers.RULES,
    *pasted.RULES,
    *named.RULES,
    *code.RULES,
)
"""Rules that look at one submission, in the order of the report."""

DECISION: Final = {"decision": "", "reviewer": "", "date": "", "reason": ""}
"""What people decide; empty until they have."""


@dataclass(frozen=True, slots=True)
class Audit:
    """All findings about one submission, worst first."""

    case: Case
    findings: tuple[Finding, ...]

    def with_findings(self, more: tuple[Finding, ...]) -> Audit:
        """The same with further findings."""
        return Audit(self.case, worst_first((*self.findings, *more)))

    @property
    def counts(self) -> dict[str, int]:
        """Findings by severity."""
        return {severity: sum(f.severity == severity for f in self.findings) for severity in SEVERITIES}

    def as_json(self) -> dict[str, Any]:
        return {
            "findings": [finding.as_json() for finding in self.findings],
            "file": str(self.case.path),
            "challenge": self.case.challenge.name,
            "track": self.case.track,
            "questions": self.case.n,
            "rows": int(self.case.present.sum()),
            "counts": self.counts,
            "decision": dict(DECISION),
        }


def audit_case(case: Case) -> Audit:
    """Apply every rule to a submission."""
    return Audit(case, worst_first(apply(RULES, case)))


def audit_rules_markdown() -> str:
    """Every rule as a Markdown table."""
    rows = [f"| `{r.name}` | {r.severity} | {looks_for(r.check)} |" for r in (*RULES, *PAIR_RULES)]
    return "\n".join(["| Rule | At worst | Looks for |", "| --- | --- | --- |", *rows]) + "\n"
