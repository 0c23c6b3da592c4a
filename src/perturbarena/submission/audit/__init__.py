"""Is a submission honest? Rules that compare what it states with what it holds; people decide."""

from perturbarena.submission.audit.case import Case, Said, read_case
from perturbarena.submission.audit.catalogue import RULES, Audit, audit_case, audit_rules_markdown
from perturbarena.submission.audit.duplicates import Pair, compare, compare_all
from perturbarena.submission.audit.page import html_report
from perturbarena.submission.audit.rules import SEVERITIES, Finding, Hit, Rule

__all__ = [
    "RULES",
    "SEVERITIES",
    "Audit",
    "Case",
    "Finding",
    "Hit",
    "Pair",
    "Rule",
    "Said",
    "audit_case",
    "audit_rules_markdown",
    "compare",
    "compare_all",
    "html_report",
    "read_case",
]
