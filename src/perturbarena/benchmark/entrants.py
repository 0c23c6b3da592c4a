"""Simulated entrants, and labels to ask them about: what the power of a question set is measured with.

They imitate what makes a comparison hard: errors that all rows of a perturbation or a gene share, errors that two
entrants share, and labels that go by gene. They imitate no biology.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.special import ndtri

from perturbarena.challenge.records import DOWN, NONE, UP, LabelledQuestions
from perturbarena.errors import InputError

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


class Pair(NamedTuple):
    """Scores of two entrants for n rows, DE and DIR, each of shape (n, 2)."""

    de: np.ndarray
    direction: np.ndarray


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


LabelSource = np.ndarray | LabelMix | GeneLabels
"""Labels (n,), or what they are drawn from, anew in each draw."""


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


def draw_labels(rng: np.random.Generator, labels: LabelSource, gene: np.ndarray) -> np.ndarray:
    """Labels of rows with these genes (codes 0 …, shape (n,))."""
    if isinstance(labels, LabelMix):
        return labels.draw(rng, len(gene))
    return labels.draw(rng, gene) if isinstance(labels, GeneLabels) else labels


def _alike(rng: np.random.Generator, n: int, correlation: float) -> np.ndarray:
    """n pairs of standard normals with this correlation, (n, 2)."""
    common = rng.standard_normal((n, 1))
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * rng.standard_normal((n, 2))
