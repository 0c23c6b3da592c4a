"""Is a submission well-formed? Layout, files and table against the track's rules, every problem at once.

Whether it is honest is another question, which this module does not ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import Challenge, Entry, Track
from perturbarena.errors import FormatError
from perturbarena.submission.archive import MIB, Archive, ArchiveLimits, is_archive, open_archive
from perturbarena.submission.disclosure import MAX_BYTES, Disclosure, parse_disclosure
from perturbarena.submission.problems import Findings, Problem
from perturbarena.submission.table import check_table

MAX_TEXT_BYTES: Final = MIB


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. ``ok`` is False if and only if a problem is an error; warnings leave it True."""

    challenge: str
    track: str
    ok: bool
    problems: tuple[Problem, ...]
    n_rows: int
    files: tuple[str, ...]
    disclosure: Disclosure | None

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": self.ok,
            "problems": [problem.to_json() for problem in self.problems],
            "challenge": self.challenge,
            "track": self.track,
            "rows": self.n_rows,
            "files": list(self.files),
            "disclosure": self.disclosure.model_dump() if self.disclosure else None,
        }


def check_submission(
    path: Path | str,
    *,
    challenge: Challenge,
    track: str,
    questions: Questions,
    limits: ArchiveLimits | None = None,
) -> Report:
    """Check a submission's zip against the rules of a track.

    Raises
    ------
    FormatError
        If the file is missing, is not a zip, or is damaged.
    RulesError
        If the challenge has no such track.
    """
    track = challenge.track_name(track)
    rules = challenge.tracks[track]
    findings = Findings()
    n_rows, disclosure = 0, None
    with open_archive(path, findings, limits=limits) as archive:
        readable = _layout(archive, rules, findings)
        for name, entry in readable.items():
            if entry.role in ("prompt", "tools"):
                _text(archive, name, findings, blank_ok=entry.role == "tools")
            elif entry.role == "disclosure":
                disclosure = _disclosure(archive, name, findings) or disclosure
        if rules.table_path in readable:
            with archive.stream(rules.table_path) as file:
                n_rows = check_table(
                    file, challenge=challenge, track=rules, questions=questions, findings=findings
                )
        files = tuple(sorted(archive.files))
    problems = findings.all()
    ok = not any(problem.severity == "error" for problem in problems)
    return Report(challenge.name, track, ok, problems, n_rows, files, disclosure)


def _layout(archive: Archive, track: Track, findings: Findings) -> dict[str, Entry]:
    """The files that the track foresees and that may be read, with the entry that foresees each."""
    foreseen: dict[str, Entry] = {}
    ignored: list[str] = []
    for name in sorted(archive.files):
        entry = track.entry_for(name)
        if entry is not None and entry.need == "ignored":
            ignored.append(name)
        elif entry is None:
            findings.add("layout.unexpected", f"{name!r} is not among the track's files")
        elif entry.need == "forbidden":
            findings.add("layout.forbidden", f"{name!r}: {entry.meaning}")
        elif _starts_like_archive(archive, name):
            findings.add("archive.nested", f"{name!r} is an archive under another name")
        else:
            foreseen[name] = entry
    if ignored:
        findings.add("layout.ignored", f"{len(ignored)} leftover files, such as {ignored[0]!r}")
    for entry in track.layout:
        if archive.refused is None or any(entry.matches(name) for name in archive.refused):
            continue  # it is there, and what is wrong with it has been said
        if entry.need == "required" and entry not in foreseen.values():
            findings.add("layout.missing", f"{entry.path} is missing{_elsewhere(archive, entry)}")
    return foreseen


def _elsewhere(archive: Archive, entry: Entry) -> str:
    """Where a missing file lies instead, if it lies in a folder."""
    found = next((name for name in archive.files if name.endswith("/" + entry.path)), None)
    return f" (it lies at {found!r})" if found else ""


def _starts_like_archive(archive: Archive, name: str) -> bool:
    with archive.stream(name) as file:
        return is_archive(file.read(8))


def _text(archive: Archive, name: str, findings: Findings, *, blank_ok: bool) -> None:
    """Prompts and Python code are text; other files of a tools folder may be anything."""
    if blank_ok and not name.endswith(".py"):
        return
    content = archive.read(name, MAX_TEXT_BYTES)
    if content is None:
        findings.add("layout.text", f"{name} has more than {MAX_TEXT_BYTES:,} bytes")
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        findings.add("layout.text", f"{name} is not UTF-8: byte {error.start} is not")
        return
    if "\0" in text:
        findings.add("layout.text", f"{name} holds NUL characters; it may be UTF-16 or binary")
    elif not blank_ok and not text.strip():
        findings.add("layout.blank", f"{name} is blank")


def _disclosure(archive: Archive, name: str, findings: Findings) -> Disclosure | None:
    content = archive.read(name, MAX_BYTES)
    if content is None:
        findings.add("disclosure.invalid", f"{name} has more than {MAX_BYTES:,} bytes")
        return None
    try:
        return parse_disclosure(content, source=name)
    except FormatError as error:
        findings.add("disclosure.invalid", str(error))
        return None
