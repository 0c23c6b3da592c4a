"""What training and hidden rows share, and what a file says twice: facts that need counting, not statistics."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena.benchmark.leakage import Verdict
from perturbarena.challenge.records import LabelledQuestions, Questions

EXAMPLES: Final = 20
"""Names listed with a check; the count is of all."""


@dataclass(frozen=True, slots=True)
class Check:
    """Something counted; any count above 0 is a leak. ``count`` is None for a statement that was not checked."""

    check: str
    count: int | None
    examples: tuple[str, ...]
    sentence: str

    @property
    def verdict(self) -> Verdict:
        """``leak`` where the count is above 0; ``cannot tell`` where there is none."""
        if self.count is None:
            return Verdict.cannot_tell
        return Verdict.leak if self.count else Verdict.clean

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "check": self.check,
            "count": self.count,
            "examples": list(self.examples),
            "verdict": self.verdict.value,
            "sentence": self.sentence,
        }


def check_repeats(rows: LabelledQuestions, ids: np.ndarray, *, of: str) -> list[Check]:
    """Questions that a file asks twice, with one label or with several; ids given twice; self-pairs."""
    labels = _labels(rows)
    twice = [_pair(pair) for pair, given in labels.items() if len(given) > 1]
    torn = [_pair(pair) for pair, given in labels.items() if len(set(given)) > 1]
    return [
        _check(f"{of}: duplicated questions", twice, "perturbation and gene are asked more than once"),
        _check(
            f"{of}: contradictory questions",
            torn,
            f"of {len(twice):,} repeated questions {len(torn):,} have several labels: they are that noisy"
            if torn
            else "a repeated question has several labels",
        ),
        _check(f"{of}: repeated ids", _repeated(ids), "an id stands more than once"),
        _check(
            f"{of}: self-pairs",
            [_pair((p, g)) for p, g in zip(rows.pert, rows.gene, strict=True) if p == g],
            "the target is the perturbed gene itself, whose answer is known",
        ),
    ]


def check_overlap(train: Questions, hidden: Questions, *, differs: set[tuple[str, str]] | None) -> list[Check]:
    """Names that training and hidden rows share, along each axis and across the axes.

    ``differs`` holds the shared questions whose labels differ; None where hidden rows have no labels.
    """
    pairs = [set(zip(q.pert, q.gene, strict=True)) for q in (train, hidden)]
    labelled = [] if differs is None else [
        _check(
            "shared questions with another label",
            map(_pair, differs),
            "the hidden label of a shared question is not the training one: labels are noisy, or were changed",
        )
    ]  # fmt: skip
    return [
        _check("shared questions", map(_pair, pairs[0] & pairs[1]), "hidden questions stand in the training rows"),
        _check("shared perturbations", set(train.pert) & set(hidden.pert), "perturbations stand in both splits"),
        _check("shared genes", set(train.gene) & set(hidden.gene), "target genes stand in both splits"),
        _check(
            "hidden perturbations that are training targets",
            set(hidden.pert) & set(train.gene),
            "genes knocked out in hidden rows are targets in training rows",
        ),
        _check(
            "training perturbations that are hidden targets",
            set(train.pert) & set(hidden.gene),
            "genes knocked out in training rows are targets in hidden rows",
        ),
        *labelled,
    ]


def differing(train: LabelledQuestions, hidden: LabelledQuestions) -> set[tuple[str, str]]:
    """Questions of both splits whose labels are not the same ones."""
    given = [_labels(rows) for rows in (train, hidden)]
    return {pair for pair in given[0].keys() & given[1].keys() if set(given[0][pair]) != set(given[1][pair])}


def _labels(rows: LabelledQuestions) -> dict[tuple[str, str], list[str]]:
    labels: dict[tuple[str, str], list[str]] = defaultdict(list)
    for pert, gene, label in zip(rows.pert, rows.gene, rows.label, strict=True):
        labels[pert, gene].append(label)
    return labels


def _check(name: str, found: Any, sentence: str) -> Check:
    names = sorted(found)
    return Check(name, len(names), tuple(names[:EXAMPLES]), sentence if names else f"no case: {sentence}")


def _repeated(ids: np.ndarray) -> list[str]:
    values, counts = np.unique(ids.astype(str), return_counts=True)
    return [str(value) for value in values[counts > 1]]


def _pair(pair: tuple[str, str]) -> str:
    return " → ".join(pair)
