"""Attacks on a question set: a score for every row, made without any biology.

Some see the shape of the set alone, some its order or ids, some other rows' labels. What a score is worth is
judged elsewhere (:mod:`perturbarena.benchmark.leakage`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np

from perturbarena.challenge.folds import Folds
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.stats import structure as shape

CROSS_FIT_FOLDS: Final = 3
"""Groups of perturbations and of genes for attacks trained and tested on the same rows; its square is the fits."""

WHAT: Final = {
    "gene rows": "how many rows a gene has",
    "perturbation rows": "how many rows a perturbation has",
    "singletons": "that a gene stands only once",
    "proportional fitting": "how often each gene and each perturbation occurs, fitted together",
    "graph components": "the size of a row's connected part of the question set",
    "row order": "a row's position in the file",
    "row above": "the label of the row above",
    "id length": "the length of an id",
    "id number": "the number in an id",
    "gene training mean": "the mean label of a gene in the training rows",
    "perturbation training mean": "the mean label of a perturbation in the training rows",
    "trained on structure": "a classifier that sees row counts alone",
    "gene leave-one-out": "the mean label of a gene's other rows",
    "perturbation leave-one-out": "the mean label of a perturbation's other rows",
}

MATCHED: Final = ("gene leave-one-out", "perturbation leave-one-out")
"""Attacks that fall below chance where a design matches labels within a name."""


class Kind(StrEnum):
    """How an attack is judged: does it need training labels, and does it use names?"""

    fixed = "fixed"
    """Either direction is a leak: whoever knows the rule turns the score round."""
    trained = "trained"
    """Only above chance: a trained score that fails has failed."""
    identity = "identity"
    """Means of other rows' labels: below chance they are matched by design; above, names inform."""
    identity_shared = "identity_shared"
    """The same where hidden rows carry names of labelled ones: both directions are leaks."""
    identity_apart = "identity_apart"
    """The same where hidden rows are known and carry none: above chance it is of no use."""


class Attack(NamedTuple):
    """A score for the rows ``among``, and how it is judged."""

    name: str
    target: str
    kind: Kind
    score: np.ndarray
    positive: np.ndarray
    among: np.ndarray
    chance: float = 0.5

    def of_rows(self, index: np.ndarray) -> Attack:
        """The same scores on some of the rows."""
        return self._replace(score=self.score[index], positive=self.positive[index], among=self.among[index])


class Target(NamedTuple):
    """What is to be told: the rows it is asked of, and which are positive; shape (n,), bool."""

    name: str
    positive: np.ndarray
    among: np.ndarray


def targets(rows: LabelledQuestions) -> tuple[Target, Target]:
    """DE, whether a gene moves, of every row; DIR, whether it goes up, of those that move."""
    return Target("DE", rows.is_de, np.ones(len(rows), bool)), Target("DIR", rows.is_up, rows.is_de)


def moves(target: str) -> str:
    """The target's question in words."""
    return "whether it moves" if target == "DE" else "which way it moves"


def attack_within(
    rows: LabelledQuestions,
    *,
    ids: np.ndarray,
    hidden: Questions | None,
    rng: np.random.Generator,
) -> list[Attack]:
    """Every attack on labelled rows by what those rows themselves show.

    ``ids`` are the ids as they stand in the file. ``hidden`` (the test rows) tells whether names can be carried
    over. Trained attacks are cross-fitted, no perturbation and no gene shared between training and scoring.
    """
    graph = shape.Structure.of(rows.pert, rows.gene)
    seen = shape.features(graph)
    unlabelled = shape.fixed_scores(graph) | order_scores(ids, rows)
    folds = _folds(rows, rng)
    attacks = []
    for target, positive, among in targets(rows):
        attacks += [Attack(name, target, Kind.fixed, score, positive, among) for name, score in unlabelled.items()]
        attacks += list(_leave_one_out(rows, hidden, target, positive, among))
        attacks.append(_row_above(rows, target, positive, among))
        if folds is not None:
            inside = [(train[among[train]], test) for train, test in folds]
            score = shape.cross_fitted_score(seen, positive, inside)
            attacks.append(Attack("trained on structure", target, Kind.trained, score, positive, among))
    return attacks


def attack_across(train: LabelledQuestions, hidden: LabelledQuestions, *, ids: np.ndarray) -> list[Attack]:
    """Attacks on hidden rows: fixed scores of their own graph, and what the training rows teach.

    That is a classifier trained on their shape and, where hidden rows have names in common with them, the mean
    labels of those names.
    """
    graph = shape.Structure.of(hidden.pert, hidden.gene)
    unlabelled = shape.fixed_scores(graph) | order_scores(ids, hidden)
    learnt, seen = shape.features(shape.Structure.of(train.pert, train.gene)), shape.features(graph)
    attacks = []
    for (target, positive, among), known in zip(targets(hidden), targets(train), strict=True):
        attacks += [Attack(name, target, Kind.fixed, score, positive, among) for name, score in unlabelled.items()]
        score = shape.trained_score(learnt[known.among], known.positive[known.among], seen)
        attacks.append(Attack("trained on structure", target, Kind.trained, score, positive, among))
        for name, theirs, own in (("gene", train.gene, hidden.gene), ("perturbation", train.pert, hidden.pert)):
            mean, shared = _training_mean(theirs, known, own)
            if shared.any():
                attacks.append(Attack(f"{name} training mean", target, Kind.fixed, mean, positive, among & shared))
    return attacks


def _training_mean(train: np.ndarray, known: Target, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each hidden row's mean training label of its name, and where the training rows have that name."""
    names, code = np.unique(train[known.among].astype(str), return_inverse=True)
    mean = np.bincount(code, known.positive[known.among], len(names)) / np.maximum(np.bincount(code), 1)
    place = dict(zip(names, mean, strict=True))
    found = [place.get(name) for name in hidden]
    return np.array([0.0 if v is None else v for v in found]), np.array([v is not None for v in found])


def order_scores(ids: np.ndarray, rows: LabelledQuestions) -> dict[str, np.ndarray]:
    """Row position and, where ids are not simply ``{pert}_{gene}``, their length and their last number.

    The names themselves are cut out of an id first: what is left is what the organiser put in.
    """
    scores = {"row order": np.arange(len(rows), dtype=float)}
    rest = [_without_names(i, p, g) for i, p, g in zip(ids, rows.pert, rows.gene, strict=True)]
    if len(set(rest)) > 1:
        scores["id length"] = np.array([len(text) for text in rest], float)
        found = [re.findall(r"\d{1,15}", text) for text in rest]
        scores["id number"] = np.array([float(numbers[-1]) if numbers else -1.0 for numbers in found])
    return scores


def _without_names(id_: str, pert: str, gene: str) -> str:
    for name in sorted((pert, gene), key=len, reverse=True):  # one name may be part of the other
        id_ = id_.replace(name, "", 1)
    return id_


def _leave_one_out(
    rows: LabelledQuestions, hidden: Questions | None, target: str, positive: np.ndarray, among: np.ndarray
) -> Iterator[Attack]:
    for name, own in (("gene", rows.gene), ("perturbation", rows.pert)):
        theirs = None if hidden is None else hidden.gene if name == "gene" else hidden.pert
        if theirs is None:
            kind = Kind.identity
        else:
            kind = Kind.identity_apart if set(own).isdisjoint(theirs) else Kind.identity_shared
        mean = shape.leave_one_out(own, positive, among=among)
        yield Attack(f"{name} leave-one-out", target, kind, mean.score, positive, mean.among, _or_half(mean.null))


def _row_above(rows: LabelledQuestions, target: str, positive: np.ndarray, among: np.ndarray) -> Attack:
    """The label of the row above where it shares neither name, so that order alone speaks.

    The row below is left out: each pair of neighbours would count twice, and the interval come out too narrow.
    """
    score, defined = np.zeros(len(rows)), np.zeros(len(rows), bool)
    score[1:] = positive[:-1]
    defined[1:] = (rows.pert[1:] != rows.pert[:-1]) & (rows.gene[1:] != rows.gene[:-1]) & among[:-1] & among[1:]
    return Attack("row above", target, Kind.fixed, score, positive, defined)


def _folds(rows: LabelledQuestions, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]] | None:
    if min(len(set(rows.pert)), len(set(rows.gene))) < CROSS_FIT_FOLDS:
        return None
    folds = Folds.deal(rows.pert, rows.gene, n_folds=CROSS_FIT_FOLDS, rng=rng)
    return [(block.train, block.test) for block in folds.blocks()]


def _or_half(value: float) -> float:
    return 0.5 if np.isnan(value) else value
