"""Worked examples for a prompt: labelled training questions that share no gene with the question.

An example about the question's own perturbation or target gene would hand over part of the answer, so neither of
the question's two genes may stand in an example, in whatever role.
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np

from perturbarena.challenge.records import LABELS, LabelledQuestions, Question
from perturbarena.errors import InputError
from perturbarena.tracks.parsing import DEFAULT_LETTERS

_HEADING: Final = "Examples from the same experiment, with their answers:"


class Examples:
    """Draws ``k`` examples for each question: the three labels in turn, the same for the same seed and id."""

    def __init__(self, train: LabelledQuestions, k: int, *, seed: int = 0) -> None:
        self._train, self._k, self._seed = train, k, seed
        self._of_label = {label: np.flatnonzero(train.label == label) for label in LABELS}

    def draw(self, question: Question) -> LabelledQuestions:
        """The examples for one question.

        Raises
        ------
        InputError
            If too few training questions are left that share no gene with the question.
        """
        rng = np.random.default_rng([self._seed, zlib.crc32(question.id.encode())])
        shuffled = {label: iter(rng.permutation(rows)) for label, rows in self._of_label.items()}
        chosen: list[int] = []
        labels = [LABELS[i] for i in rng.permutation(len(LABELS))]
        while len(chosen) < self._k and labels:
            for label in list(labels):
                row = next((int(i) for i in shuffled[label] if self._disjoint(int(i), question)), None)
                if row is None:
                    labels.remove(label)
                elif len(chosen) < self._k:
                    chosen.append(row)
        if len(chosen) < self._k:
            raise InputError(
                f"{question.id} needs {self._k} examples that share none of its genes; "
                f"{len(self._train):,} training questions leave {len(chosen)}"
            )
        return self._train.take(rng.permutation(np.asarray(chosen, int)))

    def _disjoint(self, row: int, question: Question) -> bool:
        own = {question.pert, question.gene}
        return self._train.pert[row] not in own and self._train.gene[row] not in own

    def block(self, question: Question) -> str:
        """The examples as text for the template's ``{examples}``; empty where ``k`` is 0."""
        return _block(self.draw(question)) if self._k else ""


class ChosenExamples:
    """The same examples for every question, but for those that share one of its genes."""

    def __init__(self, rows: LabelledQuestions) -> None:
        self.rows = rows

    def block(self, question: Question) -> str:
        """The examples as text for the template's ``{examples}``; empty where none is left."""
        own = [question.pert, question.gene]
        kept = ~(np.isin(self.rows.pert, own) | np.isin(self.rows.gene, own))
        return _block(self.rows.take(np.flatnonzero(kept))) if kept.any() else ""


def _block(rows: LabelledQuestions) -> str:
    letter = dict(zip(LABELS, DEFAULT_LETTERS, strict=True))
    lines = [
        f"Perturbed gene: {pert}; target gene: {gene}; <answer>{letter[label]}</answer>"
        for pert, gene, label in zip(rows.pert, rows.gene, rows.label, strict=True)
    ]
    return "\n".join((_HEADING, *lines)) + "\n\n"
