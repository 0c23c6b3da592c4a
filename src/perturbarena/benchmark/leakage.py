"""Attacks on a question set: how far do its shape, its order or its own labels answer it?

Every attack is a score for each row made without biology. Its AUROC comes with the two-way interval of all scores
here; the verdict uses a wider one, adjusted for the number of attacks, so that a set without any leak is rarely
accused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

import numpy as np

from perturbarena.challenge.folds import Folds
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.stats import structure as shape
from perturbarena.stats.auroc import rank
from perturbarena.stats.resampling import LEVEL, Interval, auroc_interval, resample, two_way_variance

CLEAN_WITHIN: Final = 0.03
"""An AUROC that lies, with its adjusted interval, this near to what chance gives is of no use to anybody."""
N_RESAMPLES: Final = 2000
CROSS_FIT_FOLDS: Final = 3
"""Groups of perturbations and of genes for attacks trained and tested on the same rows; its square is the fits."""


class Verdict(StrEnum):
    """What an attack or a check came to."""

    leak = "leak"
    clean = "clean"
    cannot_tell = "cannot tell"


@dataclass(frozen=True, slots=True)
class Finding:
    """One attack on one target.

    ``rows`` names the rows attacked, ``chance`` the AUROC expected where nothing leaks, ``interval`` is the 95 %
    one, ``adjusted`` the one the verdict rests on (95 % over all attacks together), ``n`` the rows scored.
    ``auroc`` is NaN where a class is missing.
    """

    attack: str
    target: str
    rows: str
    auroc: float
    interval: Interval | None
    adjusted: Interval | None
    chance: float
    n: int
    verdict: Verdict
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, undefined numbers as null."""
        return {
            "attack": self.attack,
            "target": self.target,
            "rows": self.rows,
            "auroc": _number(self.auroc),
            "interval": None if self.interval is None else list(self.interval),
            "adjusted_interval": None if self.adjusted is None else list(self.adjusted),
            "chance": _number(self.chance),
            "n": self.n,
            "verdict": self.verdict.value,
            "sentence": self.sentence,
        }


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
    for target, positive, among in _targets(rows):
        attacks += [Attack(name, target, Kind.fixed, score, positive, among) for name, score in unlabelled.items()]
        attacks += list(_leave_one_out(rows, hidden, target, positive, among))
        attacks.append(_row_above(rows, target, positive, among))
        if folds is not None:
            inside = [(train[among[train]], test) for train, test in folds]
            score = shape.cross_fitted_score(seen, positive, inside)
            attacks.append(Attack("trained on structure", target, Kind.trained, score, positive, among))
    return attacks


def attack_across(train: LabelledQuestions, hidden: LabelledQuestions, *, ids: np.ndarray) -> list[Attack]:
    """Attacks on hidden rows: fixed scores of their own graph, and a classifier trained on the training rows'."""
    graph = shape.Structure.of(hidden.pert, hidden.gene)
    unlabelled = shape.fixed_scores(graph) | order_scores(ids, hidden)
    learnt, seen = shape.features(shape.Structure.of(train.pert, train.gene)), shape.features(graph)
    attacks = []
    for (target, positive, among), (_, known, use) in zip(_targets(hidden), _targets(train), strict=True):
        attacks += [Attack(name, target, Kind.fixed, score, positive, among) for name, score in unlabelled.items()]
        score = shape.trained_score(learnt[use], known[use], seen)
        attacks.append(Attack("trained on structure", target, Kind.trained, score, positive, among))
    return attacks


def judge(
    attacks: Iterable[Attack],
    rows: LabelledQuestions,
    *,
    of: str,
    n_tests: int,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> list[Finding]:
    """AUROC, intervals and verdict of each attack on ``rows``; ``n_tests`` is the audit's number of attacks."""
    attacks = list(attacks)
    if not attacks:
        return []
    rankings = [rank(a.positive, np.where(a.among, a.score, 0.0), among=a.among) for a in attacks]
    replicates = resample(rankings, rows.pert, rows.gene, n_resamples=n_resamples, rng=rng)
    df = min(replicates.n_pert, replicates.n_gene) - 1
    findings = []
    for i, (attack, ranking) in enumerate(zip(attacks, rankings, strict=True)):
        value, variance = ranking.value(), two_way_variance(replicates, i).total
        plain, adjusted = (
            auroc_interval(value, variance, df, level=level) or _bound_of_perfect(value, attack, rows, level)
            for level in (LEVEL, 1 - (1 - LEVEL) / n_tests)
        )
        verdict = _verdict(adjusted, attack)
        findings.append(
            Finding(
                attack=attack.name,
                target=attack.target,
                rows=of,
                auroc=value,
                interval=plain,
                adjusted=adjusted,
                chance=attack.chance,
                n=int(attack.among.sum()),
                verdict=verdict,
                sentence=_sentence(attack, verdict, below=value < attack.chance),
            )
        )
    return findings


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


def _targets(rows: LabelledQuestions) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    yield "DE", rows.is_de, np.ones(len(rows), bool)
    yield "DIR", rows.is_up, rows.is_de


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


def _bound_of_perfect(value: float, attack: Attack, rows: LabelledQuestions, level: float) -> Interval | None:
    """Bounds for a perfect ranking, which resampling cannot give.

    With m distinct perturbations and genes in the rarer class, all ranked right, the chance of that is A^m for
    independent ones; the bound is the A at which it is 1 − level.
    """
    if value not in (0.0, 1.0):
        return None
    classes = [attack.among & attack.positive, attack.among & ~attack.positive]
    m = min(len(set(names[rare])) for rare in classes for names in (rows.pert, rows.gene))
    bound = float((1 - level) ** (1 / m))
    return Interval(bound, 1.0) if value else Interval(0.0, 1 - bound)


def _verdict(interval: Interval | None, attack: Attack) -> Verdict:
    if interval is None:
        return Verdict.cannot_tell
    low, high = interval.low - attack.chance, interval.high - attack.chance
    one_sided = attack.kind is Kind.trained
    if high <= CLEAN_WITHIN and (one_sided or low >= -CLEAN_WITHIN):
        return Verdict.clean
    if attack.kind is Kind.identity and low > 0:
        return Verdict.cannot_tell
    if attack.kind is Kind.identity_apart and low > 0:
        return Verdict.clean
    if low > 0 or (high < 0 and not one_sided):
        return Verdict.leak
    return Verdict.cannot_tell


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
    "trained on structure": "a classifier that sees row counts alone",
    "gene leave-one-out": "the mean label of a gene's other rows",
    "perturbation leave-one-out": "the mean label of a perturbation's other rows",
}

MATCHED: Final = ("gene leave-one-out", "perturbation leave-one-out")
"""Attacks that fall below chance where a design matches labels within a name."""


def _sentence(attack: Attack, verdict: Verdict, *, below: bool) -> str:
    what = WHAT[attack.name]
    does = "whether it moves" if attack.target == "DE" else "which way it moves"
    if verdict is Verdict.clean and attack.kind is Kind.identity_apart:
        return f"{what} does not tell {does} of any hidden row: none has the same name"
    if verdict is Verdict.clean:
        return f"{what} does not tell {does}"
    if verdict is Verdict.leak and below and attack.name in MATCHED:
        return f"{what} tells {does}: they are matched by design, so the others give the last one away"
    if verdict is Verdict.leak:
        return f"{what} tells {does}"
    if attack.kind is Kind.identity:
        return f"{what} may tell {does}; of use only where a hidden row has the same name"
    return f"too few rows to say whether {what} tells {does}"


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _or_half(value: float) -> float:
    return 0.5 if np.isnan(value) else value
