"""Labelled rows → what a model reads and is to write, in the order in which it meets them.

The split comes first: everything here sees the rows that are trained on and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.challenge.folds import Folds, check_disjoint
from perturbarena.challenge.records import LABELS, LabelledQuestions, Predictions, Question
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.options import option_text, stated_text
from perturbarena.tracks.finetune.settings import TargetSettings
from perturbarena.tracks.finetune.traces import Traces

_LEAST_HELD_BACK: Final = 4


@dataclass(frozen=True, slots=True)
class Split:
    """Rows to learn from and rows to watch, which share no perturbation and no gene; ``left_out`` share one."""

    train: LabelledQuestions
    validation: LabelledQuestions
    left_out: int


@dataclass(frozen=True, slots=True)
class Example:
    """A question, what the model is to write, and how easy the question is (1: all its traces were right).

    ``label`` is what classes are balanced by. ``proposed`` is an answer to be judged, for a critic alone.
    """

    question: Question
    label: str
    answer: str
    reasoning: str = ""
    ease: float = 0.0
    proposed: str = ""


def split_rows(rows: LabelledQuestions, *, folds: int, rng: np.random.Generator) -> Split:
    """Hold back one group of perturbations and one of genes.

    Raises
    ------
    InputError
        If there are too few names, or the rows held back do not hold all three labels.
    """
    dealt = Folds.deal(rows.pert, rows.gene, n_folds=folds, rng=rng)
    blocks = [b for b in dealt.blocks() if len(b.test) >= _LEAST_HELD_BACK and len(b.train)]
    for block in sorted(blocks, key=lambda b: -len(b.test)):
        train, validation = rows.take(block.train), rows.take(block.test)
        if set(validation.label) == set(LABELS) == set(train.label):
            check_disjoint(train.pert, train.gene, validation.pert, validation.gene)
            return Split(train, validation, len(rows) - len(train) - len(validation))
    raise InputError(
        f"{len(rows):,} rows with {len(set(rows.pert)):,} perturbations and {len(set(rows.gene)):,} genes cannot "
        f"be split {folds} ways so that both sides hold up, down and none; fewer validation.folds or more rows "
        "are needed"
    )


def answer_examples(rows: LabelledQuestions, *, ease: dict[str, float] | None = None) -> list[Example]:
    """The answer alone."""
    ease = ease or {}
    return [
        Example(question, label, option_text(label), ease=ease.get(question.id, 0.0))
        for question, label in zip(rows.questions, rows.label, strict=True)
    ]


def probability_examples(
    rows: LabelledQuestions, soft: Predictions | None, *, smoothing: float, ease: dict[str, float] | None = None
) -> list[Example]:
    """Stated probabilities: ``(1 − s)`` on the label and ``s`` on the soft answer, or the shares of the labels.

    Raises
    ------
    InputError
        If the soft answers lack a row or are no probabilities.
    """
    values = _soft(rows, soft)
    ease = ease or {}
    found = []
    for question, label, (up, down) in zip(rows.questions, rows.label, values, strict=True):
        p_up, p_down = ((1 - smoothing) * (label == one) + smoothing * p for one, p in zip(LABELS, (up, down)))  # noqa: B905
        text = stated_text(float(p_up), float(p_down))
        found.append(Example(question, label, text, ease=ease.get(question.id, 0.0)))
    return found


def rationale_examples(
    rows: LabelledQuestions, traces: Traces, *, most: int, rng: np.random.Generator
) -> list[Example]:
    """A recorded reasoning that led to the right answer, then that answer.

    Raises
    ------
    InputError
        If no trace of a training row is right.
    """
    question = {q.id: (q, label) for q, label in zip(rows.questions, rows.label, strict=True)}
    share = traces.share_right()
    found = [
        Example(question[t.id][0], question[t.id][1], option_text(question[t.id][1]), t.reasoning, share[t.id])
        for t in traces.right(most=most, rng=rng)
    ]
    if not found:
        raise InputError(
            f"none of the {len(traces.kept):,} recorded answers to training rows is right and has reasoning; "
            f"{traces.other_rows:,} were to other questions, {traces.unreadable:,} could not be read"
        )
    return found


def balanced(examples: Sequence[Example], *, rng: np.random.Generator) -> list[Example]:
    """Every label equally often: examples of rarer ones repeat, each before any does once more."""
    labels = sorted({e.label for e in examples})
    of_label = {label: [e for e in examples if e.label == label] for label in labels}
    most = max(map(len, of_label.values()))
    found: list[Example] = []
    for own in of_label.values():
        rounds = [rng.permutation(len(own)) for _ in range(-(-most // len(own)))]
        found += [own[i] for i in np.concatenate(rounds)[:most]]
    return found


def ordered(
    examples: Sequence[Example], settings: TargetSettings, *, epochs: int, rng: np.random.Generator
) -> list[Example]:
    """The examples in the order of training, pass by pass."""
    found: list[Example] = []
    for _ in range(epochs):
        once = balanced(examples, rng=rng) if settings.balance == "classes" else list(examples)
        once = [once[i] for i in rng.permutation(len(once))]
        if settings.curriculum == "moved_first":
            once.sort(key=lambda e: e.label == LABELS[2])
        elif settings.curriculum == "easy_first":
            once.sort(key=lambda e: -e.ease)
        found += once
    return found


def _soft(rows: LabelledQuestions, soft: Predictions | None) -> list[tuple[float, float]]:
    if soft is None:
        up, down = (float(np.mean(rows.label == label)) for label in LABELS[:2])
        return [(up, down)] * len(rows)
    at = {id_: (float(up), float(down)) for id_, up, down in zip(soft.id, soft.p_up, soft.p_down, strict=True)}
    missing = [id_ for id_ in rows.id if id_ not in at]
    if missing:
        raise InputError(f"data.probabilities lacks {len(missing):,} of {len(rows):,} rows, e.g. {missing[0]}")
    for id_ in rows.id:
        up, down = at[id_]
        if not (up >= 0 and down >= 0 and up + down <= 1 + 1e-6):
            raise InputError(
                f"data.probabilities must be at least 0 and sum to 1 at most; got {up}, {down} ({id_})"
            )
    return [at[id_] for id_ in rows.id]
