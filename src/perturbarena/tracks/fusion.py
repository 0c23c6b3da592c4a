"""Several predictors' answers made into one: how much each is to be believed, separately for DE and for DIR.

Predictors are good at different things, and scales differ: one says 0.45 where another says 0.99999. So each part
is first put on a common scale (normal scores, then a slope), then weighted. Weights are learned and judged on
doubly disjoint folds. What a part says of a row is all that counts: no names, no numbers of rows, no other
questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtri

from perturbarena.challenge.folds import Block, Folds
from perturbarena.challenge.records import LABELS, LabelledQuestions, Predictions
from perturbarena.errors import InputError
from perturbarena.stats.auroc import auroc, rank
from perturbarena.stats.paired import PairedDifference, paired_difference
from perturbarena.stats.resampling import Draws, replicate_rankings, two_way_variance

HEADS: Final = ("DE", "DIR")
"""Does the gene move? And if it moves, does it go up?"""
COEFFICIENT_VARIANCE: Final = 1.0
"""Prior variance of a coefficient in log odds a standard deviation: a part that is always right stays finite."""

BISECTIONS: Final = 60
"""Halvings of the interval that holds an intercept: down to rounding."""

Progress = Callable[[int, int], None]
"""Told after each step: how many are done, of how many."""


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How weights are learned; ``docs/fuse.md`` says how the defaults were chosen."""

    n_folds: int = 5
    """Groups of perturbations, and of genes, at least 2."""
    pull: float = 10.0
    """λ: how strongly weights are drawn to each other; 1/√λ is the prior spread of weights around their mean."""
    n_resamples: int = 1000
    """Resamples each way behind the intervals of what parts add."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A part's values among the labelled rows and their normal scores, both ascending, shape (m,).

    ``z = Φ⁻¹((below + ½·equal) / n)``, linear between known values and level beyond them: extreme probabilities
    count as ranks do, and yet a new row's score depends on that row alone.
    """

    value: np.ndarray
    score: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> Scale:
        """The scale of these n values; ties share a score."""
        value, count = np.unique(values, return_counts=True)
        return cls(value, ndtri((np.cumsum(count) - 0.5 * count) / len(values)))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        return np.interp(values, self.value, self.score)


@dataclass(frozen=True, slots=True)
class Part:
    """What one part is worth to one head.

    Attributes
    ----------
    name
        The part's.
    coefficient
        Log odds a standard deviation of its normal scores, at least 0; 0 is no weight.
    alone
        Its AUROC on the labelled rows.
    adds
        AUROC with it less AUROC without it, out of fold: among the parts that are used, or, if it is not used,
        among those that were left when it was dropped. Of a lone part: AUROC less ½.
    """

    name: str
    coefficient: float
    alone: float
    adds: PairedDifference


@dataclass(frozen=True, slots=True)
class Head:
    """A learned head: ``log odds = intercept + Σ coefficient·z`` over its parts."""

    parts: tuple[Part, ...]
    intercept: float

    @property
    def coefficients(self) -> np.ndarray:
        """Of each part, shape (k,)."""
        return np.array([part.coefficient for part in self.parts])


@dataclass(frozen=True, slots=True)
class Fusion:
    """What was learned from the labelled rows, by head; answers any row that all parts have answered."""

    scales: dict[str, tuple[Scale, ...]]
    heads: dict[str, Head]

    def answer(self, answers: Sequence[Predictions]) -> Predictions:
        """Fused answers to the rows that every part answers in the same order; each row on its own."""
        odds = {
            name: head.intercept + _normal_scores(answers, name, self.scales[name]) @ head.coefficients
            for name, head in self.heads.items()
        }
        return _predictions(answers[0].id, odds)


def learn_fusion(
    rows: LabelledQuestions,
    answers: Sequence[Predictions],
    *,
    names: Sequence[str],
    rng: np.random.Generator,
    settings: FusionSettings | None = None,
) -> Fusion:
    """Learn both heads' weights, and what each part adds.

    Parameters
    ----------
    rows
        n labelled questions.
    answers
        Each part's, to these rows in this order, out of fold: what has seen the labels is believed too much.
    names
        Of the parts.
    rng
        Deals the folds, and draws the resamples.

    Raises
    ------
    InputError
        If there are no parts, their rows are not these, a class is missing, or there are too few genes or
        perturbations for the folds.
    """
    settings = FusionSettings() if settings is None else settings
    _check(rows, answers, names)
    scales = {head: _scales(answers, head) for head in HEADS}
    heads = {}
    for head, task in _tasks(rows, answers, scales).items():
        chosen = _choose(task, rng=rng, settings=settings)
        draws = Draws.of(task.pert, task.gene, n_resamples=settings.n_resamples, rng=rng)
        direction = _direction(task, np.arange(len(task)), chosen.used, pull=settings.pull)
        intercept, slope = _calibration(chosen.odds, task.positive)
        parts = [
            Part(
                name,
                float(slope * direction[k]),
                auroc(task.positive, task.z[:, k]),
                _adds(chosen, k, task, draws),
            )
            for k, name in enumerate(names)
        ]
        heads[head] = Head(tuple(parts), intercept)
    return Fusion(scales, heads)


def cross_fit_fusion(
    rows: LabelledQuestions,
    answers: Sequence[Predictions],
    *,
    names: Sequence[str],
    rng: np.random.Generator,
    settings: FusionSettings | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Fused answers to the labelled rows themselves, weighted as rows tell that share neither of a row's names.

    Parts are kept or dropped anew in every fit. Normal scores, which hold no labels, are those of all rows. So are
    each head's intercept and slope, two numbers for all rows that make probabilities of log odds and cannot change
    their order. Arguments and errors as :func:`learn_fusion`.
    """
    settings = FusionSettings() if settings is None else settings
    _check(rows, answers, names)
    blocks = list(Folds.deal(rows.pert, rows.gene, n_folds=settings.n_folds, rng=rng).blocks())
    scales = {head: _scales(answers, head) for head in HEADS}
    odds = {head: np.zeros(len(rows)) for head in HEADS}
    for h, (head, task) in enumerate(_tasks(rows, answers, scales).items()):
        z = _normal_scores(answers, head, scales[head])
        for b, block in enumerate(blocks):
            train = np.flatnonzero(np.isin(task.row, block.train))
            used = _choose(task.take(train), rng=rng, settings=settings).used
            direction = _direction(task, train, used, pull=settings.pull)
            odds[head][block.test] = z[block.test] @ direction
            if progress is not None:
                progress(h * len(blocks) + b + 1, len(HEADS) * len(blocks))
        intercept, slope = _calibration(odds[head][task.row], task.positive)
        odds[head] = intercept + slope * odds[head]
    return _predictions(rows.id, odds)


def head_scores(answers: Predictions, head: str) -> np.ndarray:
    """What a head ranks rows by: p_up + p_down, or p_up / (p_up + p_down) (½ where both are 0), shape (n,)."""
    moved = answers.p_up + answers.p_down
    if head == "DE":
        return moved
    return np.where(moved > 0, answers.p_up / np.where(moved > 0, moved, 1.0), 0.5)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a head learns from: n rows with their positions, names, class, and normal scores, shape (n, k)."""

    row: np.ndarray
    pert: np.ndarray
    gene: np.ndarray
    positive: np.ndarray
    z: np.ndarray

    def __len__(self) -> int:
        return len(self.row)

    def take(self, index: np.ndarray) -> _Task:
        return _Task(*(column[index] for column in (self.row, self.pert, self.gene, self.positive, self.z)))


class _Chosen(NamedTuple):
    """Which parts are used, and log odds out of fold: with them, and with and without each part, by part."""

    used: list[int]
    odds: np.ndarray
    with_and_without: dict[int, tuple[np.ndarray, np.ndarray]]


def _tasks(
    rows: LabelledQuestions, answers: Sequence[Predictions], scales: dict[str, tuple[Scale, ...]]
) -> dict[str, _Task]:
    every, moved = np.arange(len(rows)), np.flatnonzero(rows.is_de)
    return {
        head: _Task(
            among,
            rows.pert[among],
            rows.gene[among],
            positive[among],
            _normal_scores(answers, head, scales[head])[among],
        )
        for head, among, positive in (("DE", every, rows.is_de), ("DIR", moved, rows.is_up))
    }


def _check(rows: LabelledQuestions, answers: Sequence[Predictions], names: Sequence[str]) -> None:
    if not answers or len(answers) != len(names):
        raise InputError(
            f"fusion needs at least one part, and a name each; got {len(answers)} and {len(names)} names"
        )
    for part, name in zip(answers, names, strict=True):
        if not np.array_equal(part.id, rows.id):
            raise InputError(f"the answers of {name} must be to the labelled rows, in their order")
    missing = set(LABELS) - set(rows.label)
    if missing:
        raise InputError(f"fusion needs labelled rows that go up, go down and stay; none is {sorted(missing)[0]}")


def _scales(answers: Sequence[Predictions], head: str) -> tuple[Scale, ...]:
    return tuple(Scale.of(head_scores(part, head)) for part in answers)


def _normal_scores(answers: Sequence[Predictions], head: str, scales: Sequence[Scale]) -> np.ndarray:
    found = [scale(head_scores(part, head)) for part, scale in zip(answers, scales, strict=True)]
    return np.column_stack(found)


def _predictions(ids: np.ndarray, log_odds: dict[str, np.ndarray]) -> Predictions:
    p_de, p_dir = expit(log_odds["DE"]), expit(log_odds["DIR"])
    return Predictions(ids, p_de * p_dir, p_de * (1 - p_dir))


def _choose(task: _Task, *, rng: np.random.Generator, settings: FusionSettings) -> _Chosen:
    """Drop the part that adds least until every part adds something, or one is left."""
    folds = Folds.deal(task.pert, task.gene, n_folds=settings.n_folds, rng=rng)
    blocks = list(folds.blocks())
    used, compared = list(range(task.z.shape[1])), {}
    everything = _out_of_fold(task, blocks, used, pull=settings.pull)
    while True:
        without = {k: _out_of_fold(task, blocks, [j for j in used if j != k], pull=settings.pull) for k in used}
        compared |= {k: (everything, odds) for k, odds in without.items()}
        kept = {k: auroc(task.positive, odds) for k, odds in without.items()}
        worst = max(used, key=kept.__getitem__)
        if len(used) == 1 or kept[worst] < auroc(task.positive, everything):
            return _Chosen(used, everything, compared)
        used = [k for k in used if k != worst]
        everything = without[worst]


def _adds(chosen: _Chosen, k: int, task: _Task, draws: Draws) -> PairedDifference:
    rankings = [rank(task.positive, odds) for odds in chosen.with_and_without[k]]
    replicates = replicate_rankings(rankings, draws)
    variance = two_way_variance(replicates.column([1.0, -1.0])).total
    df = min(replicates.n_pert, replicates.n_gene) - 1
    return paired_difference(rankings[0].value() - rankings[1].value(), variance, df)


def _out_of_fold(task: _Task, blocks: Sequence[Block], used: list[int], *, pull: float) -> np.ndarray:
    odds = np.zeros(len(task))
    for block in blocks:
        odds[block.test] = task.z[block.test] @ _direction(task, block.train, used, pull=pull)
    return odds


def _direction(task: _Task, train: np.ndarray, used: list[int], *, pull: float) -> np.ndarray:
    """Weights ≥ 0 that training rows give to parts, shape (k,), 0 for parts not used.

    Scaled so that the sum has variance 1 among all rows: fits that differ in how sure they are, and not in what
    they believe, then rank the rows of all blocks alike.
    """
    weight = np.zeros(task.z.shape[1])
    positive = task.positive[train]
    if len(used) and positive.any() and not positive.all():
        weight[used] = _coefficients(task.z[train][:, used], positive, pull=pull)
    spread = (task.z @ weight).std()
    return weight / spread if spread > 0 else weight


def _coefficients(z: np.ndarray, positive: np.ndarray, *, pull: float) -> np.ndarray:
    """Log odds a unit of z, shape (k,): each part's own slope s ≥ 0, then weights w ≥ 0 for the x = s·z."""
    one = np.ones(1)
    slope = np.array([_logistic(column[:, None], positive, one, pull=0.0)[0] for column in z.T])
    return slope if len(slope) == 1 else slope * _logistic(z * slope, positive, slope, pull=pull)


def _logistic(x: np.ndarray, positive: np.ndarray, slope: np.ndarray, *, pull: float) -> np.ndarray:
    """Weights w ≥ 0, shape (k,), that minimise, with η = a + x·w and σ² the prior variance of s·w,

    ``Σ log(1 + exp(−(2y − 1)·η)) + λ/2·Σ (w − mean w)² + Σ (s·w)² / 2σ²``.
    """
    sign, k = np.where(positive, 1.0, -1.0), x.shape[1]
    precision = slope**2 / COEFFICIENT_VARIANCE

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weight = parameters[1:]
        margin = sign * (parameters[0] + x @ weight)
        apart = weight - weight.mean()
        value = np.logaddexp(0.0, -margin).sum() + (pull * apart @ apart + precision @ weight**2) / 2
        error = -sign * expit(-margin)
        return value, np.r_[error.sum(), x.T @ error + pull * apart + precision * weight]

    start = np.r_[logit(positive.mean()), np.full(k, 1.0 / k)]
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None)] + [(0.0, None)] * k).x[1:]


class _Calibration(NamedTuple):
    """``log odds = intercept + slope·x``."""

    intercept: float
    slope: float


def _calibration(x: np.ndarray, positive: np.ndarray) -> _Calibration:
    """Slope of x, and the intercept with which the mean probability is the share of positives."""
    slope = float(_logistic(x[:, None], positive, np.ones(1), pull=0.0)[0])
    base = float(positive.mean())
    # with this reach every probability lies below the base rate at one end, and above it at the other
    reach = 1.0 + slope * float(np.abs(x).max())
    low, high = logit(base) - reach, logit(base) + reach
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + slope * x).mean() < base else (low, middle)
    return _Calibration(float((low + high) / 2), slope)
