"""Audit submissions: read each and its texts as the tracks do, apply every rule, compare each with the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError
from perturbarena.submission.audit import Audit, Case, Finding, Pair, Said, audit_case, compare_all, read_case
from perturbarena.tracks import ParsedAnswer, parse_answers


@dataclass(frozen=True, slots=True)
class Audits:
    """One audit for each submission, with what pairs of them share; and files that could not be compared with."""

    audits: tuple[Audit, ...]
    unread: dict[str, str] = field(default_factory=dict)
    """Path → why, of other submissions that cannot be read."""

    def as_json(self) -> dict[str, Any]:
        """One submission's report as it is; several under ``submissions``, with all findings named by file."""
        reports = [audit.as_json() for audit in self.audits]
        unread = {"unread": self.unread} if self.unread else {}
        if len(reports) == 1:
            return reports[0] | unread
        findings = [{**finding, "file": report["file"]} for report in reports for finding in report["findings"]]
        return {"findings": findings, "submissions": reports} | unread


def audit_submissions(
    files: Sequence[Path],
    *,
    challenge: Challenge,
    track: str,
    questions: Questions,
    against: Sequence[Path] = (),
    report: Callable[[str], None] = lambda _: None,
) -> Audits:
    """Audit each file, and compare them with each other and with the files of ``against``.

    Raises
    ------
    FormatError
        If one of ``files`` cannot be read.
    """

    def read(path: Path) -> Case:
        return read_case(path, challenge=challenge, track=track, questions=questions)

    audits = []
    for path in files:
        report(f"reading {path}")
        audits.append(audit_case(with_answers(read(path))))
    others, unread = [], {}
    own = {path.resolve() for path in files}
    for path in against:
        if path.resolve() in own:
            continue
        report(f"comparing with {path}")
        try:
            others.append(read(path))
        except FormatError as error:  # one team's damaged file must not keep the others from being compared
            unread[str(path)] = str(error)
    pairs = compare_all([audit.case for audit in audits], others)
    return Audits(tuple(audit.with_findings(_shared(audit.case, pairs)) for audit in audits), unread)


def with_answers(case: Case) -> Case:
    """The case with each of its texts read by the ladder of ``tracks.parsing``."""
    return case.with_answers({s.seed: [_said(a) for a in parse_answers(s.text)] for s in case.spoken()})


def _said(answer: ParsedAnswer) -> Said:
    stated = answer.how.endswith("probabilities")
    return Said(answer.label, answer.p_up, answer.p_down, stated and answer.parsed)


def _shared(case: Case, pairs: Sequence[Pair]) -> tuple[Finding, ...]:
    return tuple(f for pair in pairs if case is pair.first or case is pair.second for f in pair.findings)
