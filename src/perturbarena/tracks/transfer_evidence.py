"""Why an answer is what it is: known cases near the question, what pair and pathways share, how firm it stands.

None of this changes an answer. It names the training rows' perturbations and genes that are most alike in the
features, the smallest gene sets that hold both genes, and the range in which the probabilities fall when the
training names are drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import Block, GeneSetCollection
from perturbarena.tracks.transfer import TransferModel, fit_transfer
from perturbarena.tracks.transfer_models import TransferSettings

N_NEAREST: Final = 3
N_SHARED: Final = 3
LARGEST_SET: Final = 500
"""Sets of more genes (such as "cytoplasm") are no pathway worth a name."""
LEVEL: Final = 0.9
EDGE: Final = 1e-6
"""Probabilities are kept this far from 0 and 1 before their log odds are taken."""


class Near(NamedTuple):
    """A known name, its cosine, and what its training rows said: rows, moved, up."""

    name: str
    cosine: float
    n_rows: int
    n_moved: int
    n_up: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one question's answer can be held against; empty where there is no basis."""

    perts: tuple[Near, ...]
    genes: tuple[Near, ...]
    shared_sets: tuple[tuple[str, int], ...]
    """Sets with both genes, the smallest first, with their sizes."""


class Bounds(NamedTuple):
    """Lower and upper end for each question, shape (n,)."""

    low: np.ndarray
    high: np.ndarray


class Ranges(NamedTuple):
    """Of the probability to move, and of going up where it moves."""

    p_de: Bounds
    p_dir: Bounds


def evidence(
    model: TransferModel, train: LabelledQuestions, questions: Questions, features: Sequence[Block]
) -> list[Evidence]:
    """Evidence for each question, in order."""
    perts = _nearest(model, train, np.array(sorted(set(questions.pert)), object), side="pert")
    genes = _nearest(model, train, np.array(sorted(set(questions.gene)), object), side="gene")
    collections = [block for block in features if isinstance(block, GeneSetCollection)]
    found = []
    for pert, gene in zip(questions.pert, questions.gene, strict=True):
        shared = {name: size for c in collections for name, size in c.shared(pert, gene) if size <= LARGEST_SET}
        smallest = sorted(shared.items(), key=lambda pair: (pair[1], pair[0]))[:N_SHARED]
        found.append(Evidence(perts[pert], genes[gene], tuple(smallest)))
    return found


def _nearest(
    model: TransferModel, train: LabelledQuestions, asked: np.ndarray, *, side: str
) -> dict[str, tuple[Near, ...]]:
    """The training names with the largest cosine of weighted features; none for a name without features."""
    of_rows = getattr(train, side)
    known, code = np.unique(of_rows.astype(str), return_inverse=True)
    rows, moved = np.bincount(code), np.bincount(code, train.is_de)
    up = np.bincount(code, train.is_up)
    cosine = _unit(model.design.described(asked, side)) @ _unit(model.design.described(known, side)).T
    found: dict[str, tuple[Near, ...]] = {}
    for i, name in enumerate(asked):
        best = [j for j in np.argsort(-cosine[i], kind="stable")[: N_NEAREST + 1] if known[j] != name]
        found[name] = tuple(
            Near(str(known[j]), float(cosine[i, j]), int(rows[j]), int(moved[j]), int(up[j]))
            for j in best[:N_NEAREST]
            if cosine[i, j] > 0
        )
    return found


def _unit(matrix: np.ndarray) -> np.ndarray:
    length = np.sqrt((matrix**2).sum(axis=1, keepdims=True))
    return np.divide(matrix, length, where=length > 0, out=np.zeros_like(matrix))


def refit_ranges(
    train: LabelledQuestions,
    questions: Questions,
    features: Sequence[Block],
    *,
    model: TransferModel,
    n_refits: int,
    rng: np.random.Generator,
    settings: TransferSettings | None = None,
) -> Ranges:
    """Ranges of the probabilities when training perturbations and genes are drawn anew, with replacement.

    A row of a perturbation drawn a times and a gene drawn b times stands a·b times in a refit. With s the standard
    deviation of the log odds over the refits, the range is σ(logit p ± 1.645 s): 90 % of refits fall within it
    where log odds are normal. It tells how much hangs on which names were in training; it is no range for the
    outcome itself, whose uncertainty is p.

    Raises
    ------
    InputError
        If there are fewer than 2 refits.
    """
    if n_refits < 2:
        raise InputError(f"a range needs at least 2 refits; got {n_refits}")
    pert = np.unique(train.pert.astype(str), return_inverse=True)[1]
    gene = np.unique(train.gene.astype(str), return_inverse=True)[1]
    odds = np.empty((n_refits, 2, len(questions)))
    for r in range(n_refits):
        times = _drawn(pert, rng) * _drawn(gene, rng)
        again = fit_transfer(
            train.take(np.repeat(np.arange(len(train)), times)), features, rng=rng, settings=settings
        )
        answers = again.answer(questions)
        odds[r] = logit(np.clip([answers.p_de, answers.p_dir], EDGE, 1 - EDGE))
    answers = model.answer(questions)
    middle = logit(np.clip([answers.p_de, answers.p_dir], EDGE, 1 - EDGE))
    half = norm.ppf((1 + LEVEL) / 2) * odds.std(axis=0, ddof=1)
    low, high = expit(middle - half), expit(middle + half)
    return Ranges(Bounds(low[0], high[0]), Bounds(low[1], high[1]))


def _drawn(code: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How often each row's name was drawn."""
    n = int(code.max()) + 1
    return np.bincount(rng.integers(n, size=n), minlength=n)[code]
