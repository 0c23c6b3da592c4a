"""Rules on answers that came with the submission: tables of the questions' answers in prompts, tools and data.

What tells an answer key from a public data set is what it leaves out: a public table with the same genes holds
many pairs of an asked perturbation and an asked gene that nobody asked about, a key holds the asked ones alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Final

from perturbarena.challenge.records import Questions
from perturbarena.submission.audit.case import Case
from perturbarena.submission.audit.records import records_of
from perturbarena.submission.audit.rules import Hit, Rule, many
from perturbarena.submission.audit.toolcalls import tool_results

PURE: Final = 0.5
"""Share of asked pairs, among all pairs of an asked perturbation and an asked gene, from which a file is a key."""
SEVERE_ROWS: Final = 20
SEVERE_SHARE: Final = 0.05
"""So many questions, or this share of them, make a table; fewer are examples or chance."""
LEAST: Final = 3
MAX_PAIRS: Final = 64
"""Pairs looked at in one record."""

_WORD: Final = re.compile(r"[A-Za-z0-9][\w.\-]*")
_LABELS: Final = {
    **dict.fromkeys(("up", "upregulated", "up-regulated", "increase", "increased", "increases"), "up"),
    **dict.fromkeys(("down", "downregulated", "down-regulated", "decrease", "decreased", "decreases"), "down"),
    **dict.fromkeys(("none", "unchanged", "nochange", "no_change", "no-change", "ns"), "none"),
}
_LETTERS: Final = {"A": "up", "B": "down", "C": "none"}
_CODE: Final = re.compile(r"(?<![\w.])[+-]?[01](?:\.0)?(?![\w.])")
_NUMBER: Final = re.compile(r"(?<![\w.\-])[+-]?(?:0?\.\d+|[01]\.\d+|[01]|\d\.?\d*e-\d+)(?![\w.])")
_PLACEHOLDER: Final = re.compile(
    r"\{\s{0,3}(?:label|answer|truth|ground_truth|expected|target_label|y|gold)\s{0,3}\}", re.I
)


@dataclass(slots=True)
class Key:
    """What one file says of the questions: positions by kind of evidence, and pairs that nobody asked about."""

    labelled: set[int] = field(default_factory=set)
    coded: set[int] = field(default_factory=set)
    """With a number in −1, 0, 1 alone."""
    numbered: set[int] = field(default_factory=set)
    named: set[int] = field(default_factory=set)
    unasked: set[tuple[str, str]] = field(default_factory=set)

    @property
    def purity(self) -> float:
        """Share of asked pairs among all pairs of an asked perturbation and an asked gene."""
        return len(self.named) / max(1, len(self.named) + len(self.unasked))

    @property
    def answers(self) -> set[int]:
        """Questions with a label; codes count if they are more than a handful of the numbers."""
        return self.labelled | (self.coded if len(self.coded) > len(self.numbered) / 2 else set())


class Finder:
    """Finds questions in records."""

    def __init__(self, questions: Questions) -> None:
        self._ids = {str(id_).lower(): i for i, id_ in enumerate(questions.id)}
        self._perts = {str(name).lower() for name in questions.pert}
        self._genes = {str(name).lower() for name in questions.gene}
        pairs = zip(questions.pert, questions.gene, strict=True)
        self._pairs = {(str(p).lower(), str(g).lower()): i for i, (p, g) in enumerate(pairs)}

    def key_in(self, name: str, text: str) -> Key:
        """What a file says of the questions."""
        key = Key()
        for cells in records_of(name, text):
            self._look(cells, key)
        return key

    def _look(self, cells: Sequence[str], key: Key) -> None:
        words = [word for cell in cells for word in _WORD.findall(cell)]
        lower = {word.lower().rstrip(".-_:") for word in words}
        asked = {self._ids[word] for word in lower & self._ids.keys()}
        if not asked:
            perts, genes = sorted(lower & self._perts), sorted(lower & self._genes)
            for pair in islice(product(perts, genes), MAX_PAIRS):
                if pair in self._pairs:
                    asked.add(self._pairs[pair])
                elif pair[0] != pair[1]:
                    key.unasked.add(pair)
        if not asked:
            return
        key.named |= asked
        labels = {_LABELS[word] for word in lower & _LABELS.keys()}
        labels |= {_LETTERS[cell.strip()] for cell in _cells(cells) if cell.strip() in _LETTERS}
        rest = ",".join(cells)
        if len(labels) == 1:
            key.labelled |= asked
        elif not labels and (numbers := _NUMBER.findall(rest)):
            (key.coded if all(_CODE.fullmatch(n) for n in numbers) else key.numbered).update(asked)


def _cells(cells: Sequence[str]) -> Iterator[str]:
    for cell in cells:
        yield from re.split(r"[,;\t|]|: | -> | ", cell)


def pasted_answers(case: Case) -> Iterator[Hit]:
    """A file that labels the questions (20, or 5 % of a small set) and names few other pairs of their genes; 3
    or more, or numbers or nothing instead of labels: warning; a public table that names questions: note.
    """
    finder = Finder(case.questions)
    table = max(LEAST + 2, min(SEVERE_ROWS, int(SEVERE_SHARE * case.n)))
    for name, file in case.files.items():
        if file.text is None:
            continue
        key = finder.key_in(name, file.text)
        if len(key.answers) >= LEAST and key.purity >= PURE:
            what = (
                f"{name} gives a label to {len(key.answers):,} of the {case.n:,} questions{_and_little_else(key)}"
            )
            yield Hit(what, case.ids(sorted(key.answers)), None if len(key.answers) >= table else "warning")
        elif len(key.numbered | key.coded) >= table and key.purity >= PURE:
            found = sorted(key.numbered | key.coded)
            what = f"{name} gives numbers to {len(found):,} of the {case.n:,} questions{_and_little_else(key)}"
            yield Hit(what, case.ids(found), "warning")
        elif len(key.named) >= table:
            what = f"{name} names {len(key.named):,} of the {case.n:,} questions{_and_little_else(key)}"
            yield Hit(what, case.ids(sorted(key.named)), "warning" if key.purity >= PURE else "note")


def _and_little_else(key: Key) -> str:
    return f", and names {len(key.unasked):,} pairs of their genes that are not asked"


def told_by_tools(case: Case) -> Iterator[Hit]:
    """Results of tools, as traces show them, that give a label for the row's own question (5 rows and 1 %)."""
    finder, rows = Finder(case.questions), set()
    for spoken in case.spoken():
        for i, text in enumerate(spoken.text):
            results = tool_results(text)
            if results and i in finder.key_in("results.txt", results).labelled:
                rows.add(i)
    if many(len(rows), case.n):
        yield Hit(
            f"on {len(rows):,} rows a tool's result gives a label for the row's own question", case.ids(rows)
        )


def answer_placeholders(case: Case) -> Iterator[Hit]:
    """A prompt template with a place for the expected answer."""
    for name, file in case.files.items():
        entry = case.rules.entry_for(name)
        if entry is None or entry.role != "prompt" or file.text is None:
            continue
        for match in _PLACEHOLDER.finditer(file.text):
            line = file.text.count("\n", 0, match.start()) + 1
            yield Hit(f"{name}:{line}: the placeholder {match.group()} stands where an answer could be filled in")
            break


RULES: Final = (
    Rule("pasted.answers", "severe", pasted_answers),
    Rule("pasted.tool_results", "warning", told_by_tools),
    Rule("pasted.placeholder", "warning", answer_placeholders),
)
