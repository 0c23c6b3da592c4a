"""How small a difference between two entrants a question set can show.

Two entrants of the same quality are simulated on the set's rows, their answers' errors shared in part, and the
two-way variance of their paired difference is measured as a leaderboard would measure it. What a test on that
variance detects in 80 of 100 question sets is the smallest difference worth a claim.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import ndtri, stdtrit

from perturbarena.challenge.records import DOWN, NONE, UP, LabelledQuestions, Questions
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

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Correlation = Annotated[float, Field(ge=0.0, le=1.0)]


class EntrantModel(BaseModel):
    """Two entrants of one quality whose errors are alike.

    Entrant k's score of row i, for DE and for DIR alike (drawn independently), is

        s_ki = √2·Φ⁻¹(A_k)·y_i + √v_p·P_k,pert(i) + √v_g·G_k,gene(i) + √(1 − v_p − v_g)·R_ki

    with y the class and P, G, R standard normal, each correlated between the two entrants. Rows that share neither
    name then have AUROC A_k exactly. Defaults are rounded from recorded outputs (docs/power.md).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    auroc: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.6
    """AUROC of both entrants, DE and DIR."""
    pert_share: Share = 0.3
    """Share of an error's variance that all rows of a perturbation have in common, v_p."""
    gene_share: Share = 0.25
    """The same for rows of a target gene, v_g."""
    pert_correlation: Correlation = 0.6
    """Correlation between the entrants of what rows of a perturbation have in common."""
    gene_correlation: Correlation = 0.4
    """The same for target genes."""
    row_correlation: Correlation = 0.15
    """Correlation between the entrants of what is a row's own."""

    @model_validator(mode="after")
    def _shares_leave_something(self) -> Self:
        if self.pert_share + self.gene_share >= 1.0:
            raise ValueError(
                f"pert_share and gene_share must sum to less than 1; got {self.pert_share} + {self.gene_share}"
            )
        return self

    @property
    def correlation(self) -> float:
        """Of the two entrants' errors on one row."""
        own = 1 - self.pert_share - self.gene_share
        return (
            self.pert_share * self.pert_correlation
            + self.gene_share * self.gene_correlation
            + own * self.row_correlation
        )


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


class LabelMix(NamedTuple):
    """Shares of labels, for questions whose labels are not known; they are drawn independently of names."""

    up: float
    down: float
    none: float

    @classmethod
    def of(cls, labels: np.ndarray) -> LabelMix:
        """The mix of labels up, down and none, shape (n,)."""
        return cls(*(float(np.mean(labels == name)) for name in (UP, DOWN, NONE)))

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n labels, shape (n,)."""
        return rng.choice(np.array([UP, DOWN, NONE], object), size=n, p=np.array(self) / np.sum(self))


@dataclass(frozen=True, slots=True)
class GeneLabels:
    """Labels of other questions, gene by gene: ``by_rows[k]`` holds those of genes with k rows, each (k,).

    Labels go by gene (a gene mostly moves one way, and sampling designs match labels within it), so questions
    without labels borrow those of whole genes. That they also go by perturbation is lost.
    """

    by_rows: Mapping[int, tuple[np.ndarray, ...]]

    @classmethod
    def of(cls, rows: LabelledQuestions) -> GeneLabels:
        """The genes of labelled rows."""
        order = np.argsort(rows.gene.astype(str), kind="stable")
        starts = np.unique(rows.gene[order].astype(str), return_index=True)[1]
        genes = np.split(rows.label[order], starts[1:])
        sizes = sorted({len(labels) for labels in genes})
        return cls({size: tuple(labels for labels in genes if len(labels) == size) for size in sizes})

    def draw(self, rng: np.random.Generator, gene: np.ndarray) -> np.ndarray:
        """Each gene (codes 0 …, shape (n,)) gets the labels, in any order, of a gene with as many rows.

        Where there is none with as many, of one with the nearest number, repeated or cut.
        """
        label = np.empty(len(gene), object)
        sizes = np.array(list(self.by_rows))
        for rows in np.split(np.argsort(gene, kind="stable"), np.cumsum(np.bincount(gene))[:-1]):
            donors = self.by_rows[int(sizes[np.argmin(np.abs(sizes - len(rows)))])]
            label[rows] = np.resize(rng.permutation(donors[rng.integers(len(donors))]), len(rows))
        return label


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


LabelSource = np.ndarray | LabelMix | GeneLabels
"""Labels (n,), or what they are drawn from, anew in each draw."""


class Pair(NamedTuple):
    """Scores of two entrants for n rows, DE and DIR, each of shape (n, 2)."""

    de: np.ndarray
    direction: np.ndarray


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
    mix = labels if isinstance(labels, LabelMix) else LabelMix.of(_drawn(rng, labels, gene))
    return Power(tuple(points), model, settings, mix, labels_known=isinstance(labels, np.ndarray))


def simulate_pair(
    rng: np.random.Generator,
    model: EntrantModel,
    pert: np.ndarray,
    gene: np.ndarray,
    label: np.ndarray,
    *,
    gap: float = 0.0,
) -> Pair:
    """Draw two entrants' scores; the first has AUROC ``auroc + gap/2``, the second ``auroc − gap/2``.

    ``pert`` and ``gene`` are codes 0 …, shape (n,); ``label`` up, down or none.

    Raises
    ------
    InputError
        If the gap takes an AUROC out of (0, 1).
    """
    aurocs = model.auroc + np.array([gap, -gap]) / 2
    if not np.all((aurocs > 0) & (aurocs < 1)):
        raise InputError(f"AUROCs must lie between 0 and 1; got {aurocs[0]:.3f} and {aurocs[1]:.3f}")
    shift = np.sqrt(2) * ndtri(aurocs)
    own = 1 - model.pert_share - model.gene_share

    def scores(positive: np.ndarray) -> np.ndarray:
        error = np.sqrt(model.pert_share) * _alike(rng, int(pert.max()) + 1, model.pert_correlation)[pert]
        error += np.sqrt(model.gene_share) * _alike(rng, int(gene.max()) + 1, model.gene_correlation)[gene]
        error += np.sqrt(own) * _alike(rng, len(pert), model.row_correlation)
        return positive[:, None] * shift + error

    return Pair(scores(label != NONE), scores(label == UP))


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
    label = _drawn(rng, labels, gene)
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


def _drawn(rng: np.random.Generator, labels: LabelSource, gene: np.ndarray) -> np.ndarray:
    if isinstance(labels, LabelMix):
        return labels.draw(rng, len(gene))
    return labels.draw(rng, gene) if isinstance(labels, GeneLabels) else labels


def _alike(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """n pairs of standard normals with this correlation, (n, 2)."""
    common = rng.standard_normal((n, 1))
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.standard_normal((n, 2))
