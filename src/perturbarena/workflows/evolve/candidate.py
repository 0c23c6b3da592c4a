"""What is evolved: a prompt's template, and the worked examples that stand in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.challenge.records import LABELS, LabelledQuestions
from perturbarena.challenge.rules import Challenge
from perturbarena.tracks.prompt import ChosenExamples, Prompts, parse_template, template_prompts

TEMPLATE: Final = "template"
SHOTS: Final = "shots"
"""The two parts of a candidate, as the optimiser names them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A template and the ids of training rows that are its examples; none where there are no examples."""

    template: str
    shots: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Names the candidate: the same texts, the same digest."""
        return hashlib.sha256(json.dumps([self.template, self.shots]).encode()).hexdigest()[:12]

    def as_texts(self) -> dict[str, str]:
        """As the optimiser holds it, a text for each part."""
        return {TEMPLATE: self.template} | ({SHOTS: "\n".join(self.shots)} if self.shots else {})

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Candidate:
        """The inverse of :meth:`as_texts`."""
        return cls(texts[TEMPLATE], tuple(texts.get(SHOTS, "").split()))

    def rows(self, pool: LabelledQuestions) -> LabelledQuestions:
        """The examples, out of the rows to learn from."""
        position = {id_: i for i, id_ in enumerate(pool.id)}
        return pool.take(np.array([position[id_] for id_ in self.shots], int))

    def prompts(self, pool: LabelledQuestions, *, challenge: Challenge) -> Prompts:
        """The prompt of any question.

        Raises
        ------
        FormatError
            If the template lacks a field or names an unknown one.
        InputError
            If there are examples and no place for them.
        """
        template = parse_template(self.template, source=f"candidate {self.digest}")
        examples = ChosenExamples(self.rows(pool)) if self.shots else None
        return template_prompts(template, challenge=challenge, examples=examples)


def first_shots(pool: LabelledQuestions, k: int, *, rng: np.random.Generator) -> tuple[str, ...]:
    """``k`` training rows by chance, the labels in turn."""
    waiting = {label: list(rng.permutation(np.flatnonzero(pool.label == label))) for label in LABELS}
    chosen: list[str] = []
    while len(chosen) < k and any(waiting.values()):
        for label in LABELS:
            if waiting[label] and len(chosen) < k:
                chosen.append(str(pool.id[waiting[label].pop()]))
    return tuple(chosen)


def exchanged(
    shots: tuple[str, ...], wrong: tuple[str, ...], pool: LabelledQuestions, *, rng: np.random.Generator
) -> tuple[str, ...]:
    """One example goes, a row that was answered wrongly comes: one of the same label, if there is any.

    Without a wrongly answered row to take, any training row of the label comes.
    """
    label = dict(zip(pool.id, pool.label, strict=True))
    out = int(rng.integers(len(shots)))
    free = [id_ for id_ in wrong if id_ not in shots]
    same = [id_ for id_ in free if label[id_] == label[shots[out]]]
    fallback = [id_ for id_ in pool.id if id_ not in shots and label[id_] == label[shots[out]]]
    pick = same or free or fallback
    if not pick:
        return shots
    return (*shots[:out], str(pick[int(rng.integers(len(pick)))]), *shots[out + 1 :])
