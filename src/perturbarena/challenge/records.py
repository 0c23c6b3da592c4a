"""The records that rooms exchange: questions, labelled questions, predictions.

Tables are columnar: a record holds one NumPy array per column, all of length n. A question has no label
field; a labelled question is another type, so that code which answers questions cannot be handed the truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.errors import InputError

UP: Final = "up"
DOWN: Final = "down"
NONE: Final = "none"
LABELS: Final = (UP, DOWN, NONE)
"""What the target gene does after the knockout: goes up, goes down, stays."""

UNANSWERED: Final = (1 / 3, 1 / 3)
"""(p_up, p_down) of a question nobody answered: no opinion. (0, 0) would say "certainly unchanged"."""


@dataclass(frozen=True, slots=True)
class Question:
    """Knock out ``pert``: what does ``gene`` do? ``id`` is ``{pert}_{gene}``."""

    id: str
    pert: str
    gene: str


@dataclass(frozen=True, slots=True)
class Questions:
    """n questions, in order. Each array has shape (n,) and holds str."""

    id: np.ndarray
    pert: np.ndarray
    gene: np.ndarray

    def __post_init__(self) -> None:
        for name in ("id", "pert", "gene"):
            object.__setattr__(self, name, _column(getattr(self, name)))
        _same_length(id=self.id, pert=self.pert, gene=self.gene)

    @classmethod
    def from_pairs(cls, pert: Sequence[str] | np.ndarray, gene: Sequence[str] | np.ndarray) -> Questions:
        """Questions of aligned perturbations and target genes; ids are ``{pert}_{gene}``."""
        ids = [f"{p}_{g}" for p, g in zip(pert, gene, strict=True)]
        return cls(np.asarray(ids, object), np.asarray(pert, object), np.asarray(gene, object))

    def __len__(self) -> int:
        return len(self.id)

    def __iter__(self) -> Iterator[Question]:
        for id_, pert, gene in zip(self.id, self.pert, self.gene, strict=True):
            yield Question(id_, pert, gene)

    def take(self, index: np.ndarray) -> Questions:
        """The questions at ``index`` (positions or a Boolean mask), in that order."""
        return Questions(self.id[index], self.pert[index], self.gene[index])


@dataclass(frozen=True, slots=True)
class LabelledQuestions:
    """n questions with their labels (``up``, ``down`` or ``none``), shape (n,)."""

    questions: Questions
    label: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", _column(self.label))
        _same_length(id=self.questions.id, label=self.label)
        unknown = ~np.isin(self.label, LABELS)
        if unknown.any():
            i = int(np.flatnonzero(unknown)[0])
            raise InputError(
                f"a label must be one of {', '.join(LABELS)}; got {self.label[i]!r} (row {self.questions.id[i]})"
            )

    @property
    def id(self) -> np.ndarray:
        return self.questions.id

    @property
    def pert(self) -> np.ndarray:
        return self.questions.pert

    @property
    def gene(self) -> np.ndarray:
        return self.questions.gene

    @property
    def is_de(self) -> np.ndarray:
        """True where the gene moves (``up`` or ``down``), shape (n,)."""
        return self.label != NONE

    @property
    def is_up(self) -> np.ndarray:
        """True where the gene goes up, shape (n,)."""
        return self.label == UP

    def __len__(self) -> int:
        return len(self.label)

    def take(self, index: np.ndarray) -> LabelledQuestions:
        """The rows at ``index`` (positions or a Boolean mask), in that order."""
        return LabelledQuestions(self.questions.take(index), self.label[index])


@dataclass(frozen=True, slots=True)
class Predictions:
    """n answers: probability that the gene goes up and that it goes down, shape (n,), float64.

    The remaining ``1 − p_up − p_down`` is the probability of no change. Values are not checked here: whether
    they are acceptable depends on the rules they are scored under.
    """

    id: np.ndarray
    p_up: np.ndarray
    p_down: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", _column(self.id))
        object.__setattr__(self, "p_up", np.asarray(self.p_up, np.float64))
        object.__setattr__(self, "p_down", np.asarray(self.p_down, np.float64))
        _same_length(id=self.id, p_up=self.p_up, p_down=self.p_down)

    def __len__(self) -> int:
        return len(self.id)

    def take(self, index: np.ndarray) -> Predictions:
        """The rows at ``index`` (positions or a Boolean mask), in that order."""
        return Predictions(self.id[index], self.p_up[index], self.p_down[index])


def _column(values: np.ndarray | Sequence[str]) -> np.ndarray:
    column = np.asarray(values, object)
    if column.ndim != 1:
        raise InputError(f"a column must be one-dimensional; got shape {column.shape}")
    return column


def _same_length(**columns: np.ndarray) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"columns must have one length; got {lengths}")
