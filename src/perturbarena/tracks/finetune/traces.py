"""Recorded answers → reasoning worth learning from: rejection sampling on training rows.

A trace is kept where its answer is right. That needs the label, hence only traces of rows that are trained on are
ever compared; those of held-back rows, and of any other question, are passed over unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.challenge.formats import read_table
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.errors import FormatError
from perturbarena.tracks.finetune.options import read_text
from perturbarena.tracks.running.folder import RunFolder

_FINAL: Final = re.compile(r"\s*(?:P_up\s?=[^\n]{0,80}\n\s*)?<answer>[^<\n]{0,40}</answer>\s*$", re.IGNORECASE)
"""The answer's own lines at the end of a text; they are written anew."""
_TAGGED: Final = re.compile(r"<answer>([^<\n]{0,40})</answer>", re.IGNORECASE)
"""An answer within the reasoning: its tag goes, for the answer proper has one, and one only."""
_THINK: Final = re.compile(r"</?think(?:ing)?>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trace:
    """One recorded answer to a training row: its whole text, and whether its answer is right."""

    id: str
    text: str
    right: bool

    @property
    def reasoning(self) -> str:
        """The text without the final answer and without marks of think blocks."""
        return _TAGGED.sub(r"\1", _THINK.sub("", _FINAL.sub("", self.text))).strip()


@dataclass(frozen=True, slots=True)
class Traces:
    """Recorded answers to training rows, and how many were passed over and why."""

    kept: tuple[Trace, ...]
    unreadable: int
    other_rows: int
    """Answers to questions that are not trained on."""

    def share_right(self) -> dict[str, float]:
        """Of each question's traces, the share that is right."""
        found: dict[str, list[bool]] = {}
        for trace in self.kept:
            found.setdefault(trace.id, []).append(trace.right)
        return {id_: float(np.mean(rights)) for id_, rights in found.items()}

    def right(self, *, most: int, rng: np.random.Generator) -> list[Trace]:
        """Right traces with reasoning, no text twice, at most ``most`` for a question, drawn at random."""
        of_id: dict[str, dict[str, Trace]] = {}
        for trace in self.kept:
            if trace.right and trace.reasoning:
                of_id.setdefault(trace.id, {}).setdefault(trace.reasoning, trace)
        chosen: list[Trace] = []
        for found in of_id.values():
            traces = list(found.values())
            chosen += [traces[i] for i in sorted(rng.permutation(len(traces))[:most])]
        return chosen


def judge_traces(recorded: Iterable[tuple[str, str]], rows: LabelledQuestions) -> Traces:
    """Compare recorded (id, text) with the labels of training rows; see the module."""
    label: Mapping[str, str] = dict(zip(rows.id, rows.label, strict=True))
    kept: list[Trace] = []
    unreadable = others = 0
    for id_, text in recorded:
        if id_ not in label:
            others += 1
            continue
        answer = read_text(text)
        if not answer.parsed:
            unreadable += 1
            continue
        kept.append(Trace(id_, text, answer.label == label[id_]))
    return Traces(tuple(kept), unreadable, others)


def read_traces(places: Sequence[str | Path], *, column: str) -> list[tuple[str, str]]:
    """(id, text) of every recorded answer in run folders and in CSVs with ``id`` and a column of texts.

    Raises
    ------
    FormatError
        If a place is neither, or a file is damaged.
    """
    found: list[tuple[str, str]] = []
    for place in map(Path, places):
        if place.is_dir():
            found += _of_run(place)
        else:
            table = read_table(place, required=("id", column))
            found += list(zip(table["id"], table[column], strict=True))
    return found


def _of_run(place: Path) -> list[tuple[str, str]]:
    run = RunFolder(place)
    if not run.traces.is_file():
        raise FormatError(f"{place} is no run folder (it has no {run.traces.relative_to(place)})")
    found: list[tuple[str, str]] = []
    for trace in run.read(list(run.positions().values())):
        for call in trace.get("calls", ()):
            parts = (call.get("reasoning") or "", call.get("content") or "")
            found.append((trace["id"], "\n\n".join(part for part in parts if part.strip())))
    return found
