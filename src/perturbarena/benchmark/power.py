"""How small a difference between two entrants a question set can show.

Two entrants of the same quality are simulated on the set's rows, their answers' errors shared in part, and the
two-way variance of their paired difference is measured as a leaderboard would measure it. What a test on that
variance detects in 80 of 100 question sets is the smallest difference worth a claim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import stdtrit

from perturbarena.benchmark.entrants import EntrantModel, LabelMix, LabelSource, Pair, draw_labels, simulate_pair
from perturbarena.challenge.records import NONE, UP, Questions
from perturbarena.errors import InputError
from perturbarena.stats.auroc import rank
from perturbarena.stats.resampling import resample, two_way_variance

MEASURES: Final[dict[str, tuple[float, float, float, float]]] = {
    "score": (0.5, 0.5, -0.5, -0.5),
    "de_auroc": (1.0, 0.0, -1.0, 0.0),
    "dir_auroc": (0.0, 1.0, 0.0, -1.0),
}
"""Each paired difference as a combination of DE and DIR of the first entrant, DE and DIR of the second."""
SHARES: Final = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Shares of the rows at which the curve is measured."""
MIN_CLUSTERS: Final = 5
"""Fewer perturbations or genes than this, and a two-way variance says nothing."""
MIN_DEFINED: Final = 0.8
"""Share of draws in which a difference must have a variance for it to be reported."""


class PowerSettings(BaseModel):
    """What counts as showing a difference, and how precisely that is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    power: Annotated[float, Field(gt=0.5, lt=1.0)] = 0.8
    """Chance of a significant difference at the smallest one that is said to be visible."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Two-sided level of the paired test."""
    draws: Annotated[int, Field(ge=2)] = 20
    """Simulated pairs of entrants for each size; each is asked another part of the set."""
    resamples: Annotated[int, Field(ge=2)] = 400
    """Resamples each way for the variance of one difference."""


@dataclass(frozen=True, slots=True)
class PowerPoint:
    """What a question set of one size shows; counts are means over draws.

    ``smallest`` holds, by measure, the smallest true difference (of AUROCs, or of their mean) that is detected
    with the wanted power, ``sd`` the standard deviation of an observed difference. NaN where undefined.
    """

    n: float
    n_moved: float
    n_perts: float
    n_genes: float
    smallest: dict[str, float]
    sd: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Plain values; undefined numbers as null."""
        counts = {name: getattr(self, name) for name in ("n", "n_moved", "n_perts", "n_genes")}
        return counts | {
            name: {measure: None if np.isnan(x) else x for measure, x in getattr(self, name).items()}
            for name in ("smallest", "sd")
        }


@dataclass(frozen=True, slots=True)
class Power:
    """The curve over sizes, fewest rows first; the last point is the whole set."""

    curve: tuple[PowerPoint, ...]
    model: EntrantModel
    settings: PowerSettings
    labels: LabelMix
    labels_known: bool

    @property
    def whole(self) -> PowerPoint:
        """All rows."""
        return self.curve[-1]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "whole": self.whole.as_json(),
            "curve": [point.as_json() for point in self.curve],
            "model": self.model.model_dump() | {"correlation": self.model.correlation},
            "settings": self.settings.model_dump(),
            "labels": self.labels._asdict() | {"known": self.labels_known},
        }


class Difference(NamedTuple):
    """First entrant less the second: estimate, two-way variance, degrees of freedom of its t."""

    value: float
    variance: float
    df: int

    def significant(self, alpha: float) -> bool:
        """Whether the two-sided paired test rejects equality; False where the variance is undefined."""
        return bool(abs(self.value) > stdtrit(self.df, 1 - alpha / 2) * np.sqrt(self.variance))


def measure_power(
    rows: Questions,
    labels: LabelSource,
    *,
    rng: np.random.Generator,
    model: EntrantModel | None = None,
    settings: PowerSettings | None = None,
) -> Power:
    """The smallest visible difference, ``(t_{1−α/2, df} + t_{power, df})·SD``, over the number of questions.

    SD² is the mean two-way variance of the paired difference over simulated pairs of equal entrants, df the
    smaller number of perturbations and genes less one. A part of the set keeps √share of the perturbations and of
    the genes, and all rows between them. One-sided t quantiles stand in for the non-central t of exact power.

    Parameters
    ----------
    rows, labels
        n questions, and their labels or what these are drawn from.

    Raises
    ------
    InputError
        If there are fewer than ``MIN_CLUSTERS`` perturbations or genes, or no difference can be measured at all.
    """
    model, settings = model or EntrantModel(), settings or PowerSettings()
    pert, gene = (np.unique(names.astype(str), return_inverse=True)[1] for names in (rows.pert, rows.gene))
    if min(len(set(pert)), len(set(gene))) < MIN_CLUSTERS:
        raise InputError(
            f"power needs at least {MIN_CLUSTERS} perturbations and {MIN_CLUSTERS} genes; "
            f"got {len(set(pert))} and {len(set(gene))}"
        )
    points = []
    for share in SHARES:
        draws = [
            _draw(rng, pert, gene, labels, share=share, model=model, settings=settings)
            for _ in range(settings.draws)
        ]
        found = [draw for draw in draws if draw is not None]
        if len(found) >= MIN_DEFINED * settings.draws:
            points.append(_point(found, settings))
    if all(np.isnan(x) for x in points[-1].smallest.values()):
        raise InputError("no difference can be measured: the questions need up, down and none among their labels")
    mix = labels if isinstance(labels, LabelMix) else LabelMix.of(draw_labels(rng, labels, gene))
    return Power(tuple(points), model, settings, mix, labels_known=isinstance(labels, np.ndarray))


def paired_differences(
    pair: Pair,
    pert: np.ndarray,
    gene: np.ndarray,
    label: np.ndarray,
    *,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, Difference]:
    """Both entrants scored on the same rows: each measure's difference with its two-way variance."""
    moved, up = label != NONE, label == UP
    rankings = [
        ranking
        for k in (0, 1)
        for ranking in (rank(moved, pair.de[:, k]), rank(up, pair.direction[:, k], among=moved))
    ]
    replicates = resample(rankings, pert, gene, n_resamples=n_resamples, rng=rng)
    values = np.array([ranking.value() for ranking in rankings])
    df = min(replicates.n_pert, replicates.n_gene) - 1
    differences = {}
    for name, weights in MEASURES.items():
        used = np.flatnonzero(weights)
        value = float(values[used] @ np.array(weights)[used])
        variance = two_way_variance(replicates.column(weights)).total
        differences[name] = Difference(value, variance, df)
    return differences


class _Draw(NamedTuple):
    n: int
    n_moved: int
    n_perts: int
    n_genes: int
    differences: dict[str, Difference]


def _draw(
    rng: np.random.Generator,
    pert: np.ndarray,
    gene: np.ndarray,
    labels: LabelSource,
    *,
    share: float,
    model: EntrantModel,
    settings: PowerSettings,
) -> _Draw | None:
    """Two equal entrants on a part of the rows; None where too few names are left."""
    label = draw_labels(rng, labels, gene)
    kept = _part(rng, pert, gene, share)
    pert, gene, label = pert[kept], gene[kept], label[kept]
    n_perts, n_genes = len(set(pert)), len(set(gene))
    if min(n_perts, n_genes) < MIN_CLUSTERS:
        return None
    pair = simulate_pair(rng, model, pert, gene, label)
    found = paired_differences(pair, pert, gene, label, n_resamples=settings.resamples, rng=rng)
    return _Draw(len(label), int(np.sum(label != NONE)), n_perts, n_genes, found)


def _point(draws: list[_Draw], settings: PowerSettings) -> PowerPoint:
    smallest, sd = {}, {}
    for name in MEASURES:
        found = [draw.differences[name] for draw in draws]
        variances = np.array([difference.variance for difference in found])
        defined = ~np.isnan(variances)
        if np.mean(defined) < MIN_DEFINED:
            smallest[name] = sd[name] = float("nan")
            continue
        df = float(np.mean([difference.df for difference in found]))
        sd[name] = float(np.sqrt(np.mean(variances[defined])))
        smallest[name] = float(stdtrit(df, 1 - settings.alpha / 2) + stdtrit(df, settings.power)) * sd[name]
    counts = {
        count: float(np.mean([getattr(draw, count) for draw in draws]))
        for count in ("n", "n_moved", "n_perts", "n_genes")
    }
    return PowerPoint(**counts, smallest=smallest, sd=sd)


def _part(rng: np.random.Generator, pert: np.ndarray, gene: np.ndarray, share: float) -> np.ndarray:
    """Rows between √share of the perturbations and √share of the genes, (n,) bool."""
    kept = np.ones(len(pert), bool)
    for code in (pert, gene):
        n = int(code.max()) + 1
        chosen = np.zeros(n, bool)
        chosen[rng.choice(n, size=round(np.sqrt(share) * n), replace=False)] = True
        kept &= chosen[code]
    return kept
