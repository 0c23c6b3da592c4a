"""Several answers to one question → one: five ways behind one function.

============  ==========================================================================================
``first``     the first answer that can be read
``majority``  each label's share of the votes (self-consistency; Wang et al. 2023, doi:10.48550/arXiv.2203.11171)
``mean``      the mean of the probabilities
``best``      the answer that a critic scores highest (best of N)
``weighted``  the mean of the probabilities, weighted by the critic's scores
============  ==========================================================================================

Answers that cannot be read have no vote. A critic is anything that scores answers; the higher, the better it finds
them, and ``weighted`` wants scores that are not negative, such as the probability that an answer is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from perturbarena.challenge.records import LABELS
from perturbarena.errors import InputError

Rerank = Literal["first", "majority", "mean", "best", "weighted"]
RERANKS: Final[tuple[str, ...]] = get_args(Rerank)
"""The ways, by name."""
CRITICS: Final = ("best", "weighted")
"""Those that need a critic's scores."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer to a question: its label (empty where it cannot be read) and its probabilities."""

    label: str
    p_up: float
    p_down: float


@dataclass(frozen=True, slots=True)
class Reranked:
    """The one answer. ``chosen`` is the candidate's position where one was taken as it stands, else None."""

    label: str
    p_up: float
    p_down: float
    chosen: int | None = None


def rerank(
    candidates: Sequence[Candidate], how: Rerank, *, scores: Sequence[float] | np.ndarray | None = None
) -> Reranked | None:
    """Make one answer of several; None where none of them can be read.

    Parameters
    ----------
    candidates
        The answers, in the order they were sampled.
    how
        One of :data:`RERANKS`.
    scores
        The critic's score of each candidate, for ``best`` and ``weighted``.

    Raises
    ------
    InputError
        If the way is unknown, scores are missing, not one for each candidate, not finite, or negative where they
        are weights.
    """
    if how not in RERANKS:
        raise InputError(f"a way to choose among answers is one of {', '.join(RERANKS)}; got {how!r}")
    weights = _checked(scores, len(candidates), how) if how in CRITICS else None
    readable = [i for i, candidate in enumerate(candidates) if candidate.label]
    if not readable:
        return None
    if how == "first":
        return _as_it_stands(candidates, readable[0])
    if how == "best":
        assert weights is not None
        return _as_it_stands(candidates, max(readable, key=lambda i: (weights[i], -i)))
    if how == "majority":
        votes = np.array([[candidates[i].label == label for label in LABELS] for i in readable], float)
        return _mean(votes, np.ones(len(readable)))
    p = np.array([[candidates[i].p_up, candidates[i].p_down] for i in readable])
    p = np.column_stack([p, 1.0 - p.sum(axis=1)])
    own = np.ones(len(readable)) if weights is None else weights[readable]
    return _mean(p, own if own.sum() > 0 else np.ones(len(readable)))


def _as_it_stands(candidates: Sequence[Candidate], i: int) -> Reranked:
    return Reranked(candidates[i].label, candidates[i].p_up, candidates[i].p_down, i)


def _mean(p: np.ndarray, weights: np.ndarray) -> Reranked:
    """The weighted mean of rows of (up, down, none); the label is the likeliest, the first of equals."""
    up, down, none = (float(value) for value in np.average(p, axis=0, weights=weights))
    values = (up, down, none)
    return Reranked(LABELS[values.index(max(values))], up, down)


def _checked(scores: Sequence[float] | np.ndarray | None, n: int, how: str) -> np.ndarray:
    if scores is None:
        raise InputError(f"choosing answers by {how} needs a critic's scores")
    found = np.asarray(scores, float)
    if found.shape != (n,) or not np.isfinite(found).all():
        raise InputError(f"a critic must give one finite score for each of {n} answers; got {found.tolist()}")
    if how == "weighted" and (found < 0).any():
        raise InputError(f"weights must not be negative; the critic gave {found.min():.3g}")
    return found
