"""Train, validation and test: disjoint in perturbations, in target genes, and across the two.

Names are dealt at random many times and the most even deal is taken (rerandomisation, doi:10.1214/12-AOS1008), so
that the splits agree in how many genes a perturbation moves, how far, and which way. Names of one group
(paralogues, members of a complex) are dealt together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from perturbarena.benchmark.labels import CALL_UP, Labels
from perturbarena.errors import InputError

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
SPLITS: Final = (TRAIN, VALIDATION, TEST)
TINY: Final = 1e-6
"""What rounding may do to shares and to numbers that should be whole."""

Shares = tuple[
    Annotated[float, Field(gt=0.0, lt=1.0)],
    Annotated[float, Field(gt=0.0, lt=1.0)],
    Annotated[float, Field(gt=0.0, lt=1.0)],
]


class SplitSettings(BaseModel):
    """How names are dealt to train, validation and test."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    perturbations: Shares = (0.8, 0.1, 0.1)
    """Shares of perturbations."""
    genes: Shares = (0.6, 0.2, 0.2)
    """Shares of target genes."""
    across: bool = True
    """Whether a gene knocked out in one split may only be a target in the same split."""
    draws: Annotated[int, Field(ge=1, le=100_000)] = 200
    """Deals of which the most even is taken; 1 takes the first."""

    @model_validator(mode="after")
    def _add_up(self) -> SplitSettings:
        for what, shares in (("perturbations", self.perturbations), ("genes", self.genes)):
            if abs(sum(shares) - 1) > TINY:
                raise ValueError(f"the shares of {what} must add up to 1; got {' + '.join(map(str, shares))}")
        return self


@dataclass(frozen=True, slots=True)
class Splits:
    """The split of each perturbation (K,) and of each gene (A,) of a :class:`Labels`: one of ``SPLITS``."""

    pert: np.ndarray
    gene: np.ndarray

    def block(self, labels: Labels, split: str) -> Labels:
        """The labels of one split's perturbations and genes."""
        return labels.block(self.pert == split, self.gene == split)

    def balance(self, labels: Labels) -> list[dict[str, Any]]:
        """How alike the splits are: names, and means over each split's perturbations, over all genes."""
        told = _covariates(labels, axis=1)
        return [
            {
                "split": split,
                "perturbations": int(np.sum(self.pert == split)),
                "genes": int(np.sum(self.gene == split)),
                "moved_genes": float(np.expm1(told.log_moved[self.pert == split]).mean()),
                "mean_abs_log2fc": float(told.size[self.pert == split].mean()),
                "up_share": float(told.up_share[self.pert == split].mean()),
            }
            for split in SPLITS
        ]


class Covariates(NamedTuple):
    """What splits agree in, one value a name: log(1 + moved), mean |log2fc| of the moved, share going up."""

    log_moved: np.ndarray
    size: np.ndarray
    up_share: np.ndarray


def split_labels(
    labels: Labels,
    settings: SplitSettings | None = None,
    *,
    rng: np.random.Generator,
    groups: Mapping[str, str] | None = None,
) -> Splits:
    """Deal perturbations, then genes.

    Parameters
    ----------
    groups
        Group of a name; names of one group are never cut apart. A name without one stands alone.

    Raises
    ------
    InputError
        If a split would be left without a perturbation or without a gene.
    """
    settings, groups = settings or SplitSettings(), groups or {}
    perts = _units(labels.perturbations, groups)
    genes = _units(labels.genes, groups)
    pert = _deal(perts, settings.perturbations, _covariates(labels, axis=1), draws=settings.draws, rng=rng)
    fixed = dict(zip(perts, pert.tolist(), strict=True)) if settings.across else {}
    gene = _deal(genes, settings.genes, _covariates(labels, axis=0), draws=settings.draws, rng=rng, fixed=fixed)
    for what, code in (("perturbations", pert), ("genes", gene)):
        sizes = np.bincount(code, minlength=len(SPLITS))
        if not sizes.all():
            raise InputError(
                f"each of {', '.join(SPLITS)} needs {what}; {len(code)} kept {what} were dealt "
                f"{', '.join(map(str, sizes))}: a larger screen, smaller groups or other shares are needed"
            )
    names = np.array(SPLITS, object)
    return Splits(names[pert], names[gene])


def _units(names: np.ndarray, groups: Mapping[str, str]) -> list[str]:
    """What is dealt: a name's group, or the name itself; the two cannot be confused."""
    return [f"group {groups[name]}" if name in groups else f"name {name}" for name in names]


def _covariates(labels: Labels, *, axis: int) -> Covariates:
    """Of each perturbation (axis 1) or each gene (axis 0)."""
    moved = labels.moved
    n = moved.sum(axis=axis)
    size = np.where(moved, np.abs(labels.log2fc), 0.0).sum(axis=axis)
    up = (labels.call == CALL_UP).sum(axis=axis)
    some = np.maximum(n, 1)
    return Covariates(np.log1p(n), np.where(n > 0, size / some, 0.0), np.where(n > 0, up / some, 0.5))


def _deal(
    units: list[str],
    shares: Shares,
    covariates: Covariates,
    *,
    draws: int,
    rng: np.random.Generator,
    fixed: Mapping[str, int] | None = None,
) -> np.ndarray:
    """The most even of ``draws`` deals: the split, 0 … 2, of each name; shape (n,)."""
    told, unit = np.unique(np.array(units), return_inverse=True)
    size = np.bincount(unit)
    given = np.array([(fixed or {}).get(name, -1) for name in told.tolist()])
    spread = np.column_stack([_standard(c) for c in covariates])
    best, least = np.zeros(0, np.int64), np.inf
    for _ in range(draws):
        split = _one_deal(size, given, np.array(shares), rng)[unit]
        uneven = _imbalance(split, spread)
        if uneven < least:
            best, least = split, uneven
    return best


def _one_deal(size: np.ndarray, given: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split of each unit: those given stay, large ones go where room is, single names fill up."""
    split = given.copy()
    room = shares * size.sum() - np.bincount(given[given >= 0], size[given >= 0], minlength=len(shares))
    for u in rng.permutation(np.flatnonzero((given < 0) & (size > 1))):
        chance = np.maximum(room, 0.0) * (room >= size[u] / 2)
        split[u] = int(np.argmax(room)) if chance.sum() <= 0 else rng.choice(len(shares), p=chance / chance.sum())
        room[split[u]] -= size[u]
    single = rng.permutation(np.flatnonzero((given < 0) & (size == 1)))
    split[single] = np.repeat(np.arange(len(shares)), _whole(np.maximum(room, 0.0), len(single)))
    return split


def _whole(wanted: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to ``wanted`` that add up to ``total``; what is left over goes to the first.

    So validation and test, of equal shares, are equally large: else a row's block could be told by its size.
    """
    exact = wanted * total / wanted.sum() if wanted.sum() else np.eye(len(wanted))[0] * total
    whole = np.floor(exact + TINY).astype(int)
    whole[0] = total - whole[1:].sum()
    return whole


def _imbalance(split: np.ndarray, spread: np.ndarray) -> float:
    """Σ_splits Σ_covariates n_s·mean², of standardised covariates: their variance between splits."""
    size = np.bincount(split, minlength=len(SPLITS))
    sums = np.column_stack([np.bincount(split, column, minlength=len(SPLITS)) for column in spread.T])
    return float((sums**2 / np.maximum(size, 1)[:, None]).sum())


def _standard(values: np.ndarray) -> np.ndarray:
    sd = values.std()
    return (values - values.mean()) / sd if sd > 0 else np.zeros(len(values))
