"""What stands beside the score on request: other cuts of the AUROCs, calibration of probabilities, abstention.

None of it enters the score. Every number has a two-way interval where the rows' perturbations and genes are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena.challenge.records import LABELS, NONE, UP, Predictions
from perturbarena.evaluation.metric import N_RESAMPLES, NO_PAIRS, ScoredRows, json_number
from perturbarena.stats.auroc import Combine, rank
from perturbarena.stats.binned import bin_sum_replicates, bin_sums, calibration_error, quantile_bins
from perturbarena.stats.paired import paired_difference
from perturbarena.stats.resampling import (
    Draws,
    Interval,
    Replicates,
    auroc_interval,
    replicate_rankings,
    two_way_variance,
)
from perturbarena.stats.sweeps import GRID, N_GRID, PRECISION, RISK, Sweep

FLOOR: Final = 1e-6
"""Probability below which the log score does not go: an answer of 0 that comes true would cost everything."""
_HOW: Final[tuple[tuple[str, str, Combine], ...]] = (
    ("per_pert", "pert", "groups"),
    ("per_gene", "gene", "groups"),
    ("within_pert", "pert", "pairs"),
    ("within_gene", "gene", "pairs"),
)
COVERAGES: Final = tuple(range(10, N_GRID, 10))
"""Places in ``GRID`` at which the risk–coverage curve is reported: 10 %, 20 %, … 100 % of the rows."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95 % interval, its two-way standard deviation, and what it rests on.

    ``of`` counts ``unit`` (rows, perturbations, genes, pairs). NaN and None where undefined, and ``why``.
    """

    value: float
    interval: Interval | None
    sd: float
    of: int
    unit: str
    why: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values; None where a number is undefined."""
        return {
            "value": json_number(self.value),
            "interval": None if self.interval is None else list(self.interval),
            "sd": json_number(self.sd),
            "of": self.of,
            "unit": self.unit,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A place on a curve: rows there, what was said (or the coverage), what was seen, and its interval."""

    n: int
    x: float
    y: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Detail:
    """Further measures by name, reliability of p(moved) and of p(up | moved), and risk by coverage.

    ``n_floored`` counts rows whose label was given a probability below ``FLOOR``.
    """

    measures: Mapping[str, Estimate]
    reliability: Mapping[str, tuple[CurvePoint, ...]]
    abstention: tuple[CurvePoint, ...]
    n_floored: int

    def as_json(self) -> dict[str, Any]:
        """Plain values under keys that are always there."""
        reliability = {
            name: [_point(p, "predicted", "observed") for p in points] for name, points in self.reliability.items()
        }
        return {
            "measures": {name: estimate.as_json() for name, estimate in self.measures.items()},
            "reliability": reliability,
            "abstention": [_point(p, "coverage", "risk") for p in self.abstention],
            "n_floored": self.n_floored,
        }


@dataclass(frozen=True, slots=True)
class _Context:
    """Draws to be shared, None where there are none, and why."""

    draws: Draws | None
    why: str | None

    @property
    def df(self) -> int:
        return 0 if self.draws is None else min(self.draws.sizes[:2]) - 1

    def share(self, value: float, replicates: Replicates | None, k: int, of: int, unit: str) -> Estimate:
        """An estimate between 0 and 1, with the interval of an AUROC."""
        if np.isnan(value):
            return Estimate(
                value, None, float("nan"), of, unit, f"undefined on these rows: no {unit} with both classes"
            )
        if replicates is None:
            return Estimate(value, None, float("nan"), of, unit, self.why)
        variance = two_way_variance(replicates, k).total
        interval = auroc_interval(value, variance, self.df)
        why = None if interval else "undefined in too many resamples, or exactly 0 or 1"
        return Estimate(value, interval, float(np.sqrt(variance)), of, unit, why)

    def mean(self, value: float, replicates: Replicates | None, k: int, of: int, *, centre: float) -> Estimate:
        """An estimate of at least 0, with a symmetric interval about ``centre``."""
        if replicates is None:
            return Estimate(value, None, float("nan"), of, "rows", self.why)
        variance = two_way_variance(replicates, k).total
        bounds = paired_difference(centre, variance, self.df).interval
        if bounds is None:
            return Estimate(value, None, float("nan"), of, "rows", "needs at least 2 perturbations and 2 genes")
        interval = Interval(max(bounds.low, 0.0), max(bounds.high, 0.0))
        return Estimate(value, interval, float(np.sqrt(variance)), of, "rows")


def detail(
    rows: ScoredRows, answers: Predictions, *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> Detail:
    """Every further measure; ``rows`` and ``answers`` stand in one order, definitions in ``docs/scoring.md``.

    Raises
    ------
    InputError
        If there are no rows.
    """
    if rows.pert is None or rows.gene is None or not n_resamples:
        context = _Context(None, NO_PAIRS if rows.pert is None else "no resamples were asked for")
    else:
        context = _Context(Draws.of(rows.pert, rows.gene, n_resamples=n_resamples, rng=rng), None)
    moved, up = rows.label != NONE, rows.label == UP
    measures = _groups(rows, moved, up, context)
    losses, n_floored = _losses(rows.label, answers, context)
    reliability, calibration = {}, {}
    for name, of, said, seen in (
        ("de", np.ones(len(moved), bool), rows.de_score, moved),
        ("dir", moved, rows.dir_score, up),
    ):
        reliability[name], calibration[f"{name}_calibration_error"] = _reliability(said, seen, of, context)
    abstention, area = _abstention(rows.label, answers, context)
    precision = {
        "de_average_precision": _precision(moved, rows.de_score, None, context),
        "dir_average_precision": _precision(up, rows.dir_score, moved, context),
    }
    measures |= precision | losses | calibration | {"abstention_area": area}
    return Detail(measures, reliability, abstention, n_floored)


def _groups(rows: ScoredRows, moved: np.ndarray, up: np.ndarray, context: _Context) -> dict[str, Estimate]:
    """AUROCs of single perturbations and genes, averaged; and pairs of one perturbation, or one gene, pooled."""
    found = {}
    kinds: list[tuple[str, str, Combine, np.ndarray, np.ndarray, np.ndarray | None]] = [
        (f"{task}_{how}", axis, combine, positive, score, among)
        for task, positive, score, among in (
            ("de", moved, rows.de_score, None),
            ("dir", up, rows.dir_score, moved),
        )
        for how, axis, combine in _HOW
    ]
    if rows.pert is None or rows.gene is None:
        return {name: Estimate(float("nan"), None, float("nan"), 0, "pairs", NO_PAIRS) for name, *_ in kinds}
    rankings = [
        rank(positive, score, among=among, group=rows.pert if axis == "pert" else rows.gene, combine=combine)
        for _, axis, combine, positive, score, among in kinds
    ]
    replicates = None if context.draws is None else replicate_rankings(rankings, context.draws)
    for k, ((name, axis, combine, *_), ranking) in enumerate(zip(kinds, rankings, strict=True)):
        unit = "pairs" if combine == "pairs" else {"pert": "perturbations", "gene": "genes"}[axis]
        of = int(ranking.counts().pairs.sum()) if combine == "pairs" else ranking.n_groups
        found[name] = context.share(ranking.value(), replicates, k, of, unit)
    return found


def _precision(hit: np.ndarray, score: np.ndarray, among: np.ndarray | None, context: _Context) -> Estimate:
    n = len(hit) if among is None else int(among.sum())
    if not n or not hit.any():
        return Estimate(float("nan"), None, float("nan"), n, "rows", "no row of the class that is looked for")
    sweep = Sweep.of(hit, score, among=among)
    replicates = None if context.draws is None else sweep.replicates(context.draws)
    return context.share(float(sweep.values()[PRECISION]), replicates, PRECISION, n, "rows")


def _probabilities(answers: Predictions) -> np.ndarray:
    """Up, down, none; shape (n, 3)."""
    rest = np.clip(1 - answers.p_up - answers.p_down, 0.0, 1.0)
    return np.column_stack([answers.p_up, answers.p_down, rest])


def _losses(label: np.ndarray, answers: Predictions, context: _Context) -> tuple[dict[str, Estimate], int]:
    p = _probabilities(answers)
    seen = label[:, None] == np.array(LABELS, object)
    given = p[seen]
    values = np.column_stack([((p - seen) ** 2).sum(axis=1), -np.log(np.maximum(given, FLOOR))])
    one = np.zeros(len(label), np.int64)
    sums = bin_sums(one, values)[0]
    replicates = None
    if context.draws is not None:
        found = bin_sum_replicates(one, values, context.draws)
        replicates = Replicates.of([s[:, 0, 1:] / s[:, 0, :1] for s in found], context.draws)
    means = [float(sums[1 + k] / sums[0]) for k in (0, 1)]
    names = ("brier", "log_score")
    losses = {
        n: context.mean(m, replicates, k, len(label), centre=m)
        for k, (n, m) in enumerate(zip(names, means, strict=True))
    }
    return losses, int((given < FLOOR).sum())


def _reliability(
    said: np.ndarray, seen: np.ndarray, among: np.ndarray, context: _Context
) -> tuple[tuple[CurvePoint, ...], Estimate]:
    """Bins of equally many rows: what was said against what was seen; and how far apart they are on average."""
    n = int(among.sum())
    if not n:
        return (), Estimate(float("nan"), None, float("nan"), 0, "rows", "no row moved")
    bins = np.zeros(len(said), np.int64)
    bins[among] = quantile_bins(said[among])
    values = np.column_stack([among, said * among, seen & among]).astype(float)
    sums = bin_sums(bins, values)[:, 1:]
    error = float(calibration_error(sums))
    shares, errors, centre = None, None, error
    if context.draws is not None:
        found = [s[..., 1:] for s in bin_sum_replicates(bins, values, context.draws)]
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = Replicates.of([s[..., 2] / s[..., 0] for s in found], context.draws)
            by_way = [calibration_error(s)[:, None] for s in found]
        errors = Replicates.of(by_way, context.draws)
        excess = [float(np.nanmean(way)) - error for way in by_way]
        centre = max(error - max(excess[0] + excess[1] - excess[2], 0.0), 0.0)
    points = []
    for k, (rows, predicted, observed) in enumerate(sums):
        of = context.share(observed / rows, shares, k, int(rows), "rows")
        points.append(CurvePoint(int(rows), float(predicted / rows), float(observed / rows), of.interval))
    return tuple(points), context.mean(error, errors, 0, n, centre=centre)


def _abstention(
    label: np.ndarray, answers: Predictions, context: _Context
) -> tuple[tuple[CurvePoint, ...], Estimate]:
    """Share of wrong answers among the surest rows, by how many are answered; and its mean over coverages."""
    p = _probabilities(answers)
    wrong = np.array(LABELS, object)[p.argmax(axis=1)] != label
    sweep = Sweep.of(wrong, p.max(axis=1))
    risk = sweep.values()[RISK]
    replicates = area = None
    if context.draws is not None:
        replicates = sweep.replicates(context.draws)
        ways = (replicates.pert, replicates.gene, replicates.row)
        area = Replicates.of([way[:, RISK][:, 1:].mean(axis=1, keepdims=True) for way in ways], context.draws)
    points = []
    for k in COVERAGES:
        of = context.share(float(risk[k]), replicates, RISK.start + k, len(label), "rows")
        points.append(CurvePoint(round(GRID[k] * len(label)), float(GRID[k]), float(risk[k]), of.interval))
    return tuple(points), context.share(float(risk[1:].mean()), area, 0, len(label), "rows")


def _point(point: CurvePoint, x: str, y: str) -> dict[str, Any]:
    interval = None if point.interval is None else list(point.interval)
    return {"n": point.n, x: json_number(point.x), y: json_number(point.y), "interval": interval}
