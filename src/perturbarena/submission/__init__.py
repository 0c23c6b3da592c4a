"""Submissions: pack one, check that one is well-formed, hand it in to a board."""

from perturbarena.submission.answers import Answers, read_answers
from perturbarena.submission.archive import ArchiveLimits
from perturbarena.submission.bundle import Bundle, pack
from perturbarena.submission.disclosure import Disclosure
from perturbarena.submission.problems import RULES, Problem, rules_markdown
from perturbarena.submission.push import TOKEN_VARIABLE, BoardClient, BoardReceipt
from perturbarena.submission.validate import Report, check_submission

__all__ = [
    "RULES",
    "TOKEN_VARIABLE",
    "Answers",
    "ArchiveLimits",
    "BoardClient",
    "BoardReceipt",
    "Bundle",
    "Disclosure",
    "Problem",
    "Report",
    "check_submission",
    "pack",
    "read_answers",
    "rules_markdown",
]
