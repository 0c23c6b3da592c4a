"""Prompts that hold what they are to be scored on are refused before a single call.

A prompt written by a model that has seen wrong answers may carry answers in it. Training rows are fair game; an
id, a labelled pair or a list of pairs of rows that are scored, or of questions still to be asked, is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from perturbarena.challenge.records import Questions
from perturbarena.submission.audit.pasted import Finder

SPAN: Final = 3
"""Lines within which a pair's two names count as one entry."""
_WORD: Final = re.compile(r"[A-Za-z0-9][\w.\-]*")


class Guard:
    """Knows the questions that no prompt may tell of."""

    def __init__(self, questions: Sequence[Questions]) -> None:
        self._finders = [Finder(asked) for asked in questions if len(asked)]
        self._ids = {str(id_).lower() for asked in questions for id_ in asked.id}
        pairs = [(str(p), str(g)) for asked in questions for p, g in zip(asked.pert, asked.gene, strict=True)]
        self._genes_of: dict[str, set[str]] = {}
        for pert, gene in pairs:
            self._genes_of.setdefault(pert, set()).add(gene)
        self._names = {name for pair in pairs for name in pair}
        self._capitals = {name.upper(): name for name in self._names}

    def why_not(self, text: str) -> str:
        """Why the text may not be sent, in words; empty where it may."""
        for word in _WORD.findall(text):
            if word.lower().rstrip(".-") in self._ids:
                return f"it names the question {word}, which is scored or still to be asked"
        for finder in self._finders:
            answers = finder.key_in("prompt.txt", text).answers
            if answers:
                return (
                    f"it gives a label to {len(answers):,} of the questions that are scored or still to be asked"
                )
        pair = self._pair_in(text)
        if pair:
            return f"it names {pair[0]} and {pair[1]} together, a question that is scored or still to be asked"
        return ""

    def _pair_in(self, text: str) -> tuple[str, str] | None:
        """A pair whose names stand within a few lines of each other, as written or in capitals."""
        lines = [self._named(line) for line in text.splitlines()]
        for i in range(len(lines)):
            near = set().union(*lines[i : i + SPAN])
            for pert in near & self._genes_of.keys():
                if others := near & self._genes_of[pert] - {pert}:
                    return pert, min(others)
        return None

    def _named(self, line: str) -> set[str]:
        words = {word.rstrip(".-") for word in _WORD.findall(line)}
        return (words & self._names) | {self._capitals[word] for word in words & self._capitals.keys()}
