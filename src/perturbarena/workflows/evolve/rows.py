"""Labelled questions → three parts that share no perturbation and no gene: to learn, to choose, to confirm.

A prompt that is written after looking at wrong answers, and chosen as the best of twenty, looks better than it is
on every row that had a say. Rows that fall between the parts (a perturbation of one, a gene of another) are left
out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

from perturbarena.challenge.folds import check_disjoint
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.errors import InputError

PARTS: Final = ("train", "selection", "confirmation")
SHARES: Final[Mapping[str, float]] = {"train": 0.3, "selection": 0.3, "confirmation": 0.4}
"""Of the perturbations, and of the genes. A part holds about its share's square of the rows."""
LEAST: Final = 5
"""Rows of each label that selection and confirmation need: no AUROC is worth anything with fewer."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The three parts, doubly disjoint, and how many rows none of them took."""

    train: LabelledQuestions
    selection: LabelledQuestions
    confirmation: LabelledQuestions
    left_out: int

    def of(self, name: str) -> LabelledQuestions:
        """A part by its name in :data:`PARTS`."""
        return getattr(self, name)

    def table(self) -> pd.DataFrame:
        """``id,pert,gene,part``: which row had which say."""
        return pd.concat(
            [
                pd.DataFrame({"id": rows.id, "pert": rows.pert, "gene": rows.gene, "part": name})
                for name in PARTS
                if len(rows := self.of(name))
            ],
            ignore_index=True,
        )

    def counts(self) -> dict[str, int]:
        """Rows of each part, and those of none."""
        return {name: len(self.of(name)) for name in PARTS} | {"left_out": self.left_out}


def deal_parts(rows: LabelledQuestions, *, most: Mapping[str, int], rng: np.random.Generator) -> Parts:
    """Deal perturbations and genes, independently, into three parts.

    Parameters
    ----------
    rows
        Labelled questions.
    most
        The most rows of each part; what is above is left out by chance.
    rng
        The same state gives the same parts, whatever the order of the rows.

    Raises
    ------
    InputError
        If a part that scores has fewer than :data:`LEAST` rows of a label, or no row is left to learn from.
    """
    order = np.argsort(rows.id.astype(str), kind="stable")
    rows = rows.take(order)
    pert, gene = _dealt(rows.pert, rng), _dealt(rows.gene, rng)
    parts = {}
    for k, name in enumerate(PARTS):
        of_part = np.flatnonzero((pert == k) & (gene == k))
        if len(of_part) > most[name]:
            of_part = np.sort(rng.choice(of_part, size=most[name], replace=False))
        parts[name] = rows.take(of_part)
    _check(parts, n=len(rows))
    return Parts(**parts, left_out=len(rows) - sum(len(part) for part in parts.values()))


def _dealt(names: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The part of each row's name, as a number."""
    unique, code = np.unique(names.astype(str), return_inverse=True)
    ends = np.cumsum([SHARES[name] for name in PARTS]) / sum(SHARES.values()) * len(unique)
    part = np.empty(len(unique), np.int64)
    part[rng.permutation(len(unique))] = np.searchsorted(np.round(ends), np.arange(len(unique)), side="right")
    return np.minimum(part, len(PARTS) - 1)[code]


def _check(parts: Mapping[str, LabelledQuestions], *, n: int) -> None:
    for name in ("selection", "confirmation"):
        rows = parts[name]
        up, moved = int(rows.is_up.sum()), int(rows.is_de.sum())
        counts = {"up": up, "down": moved - up, "none": len(rows) - moved}
        few = min(counts, key=lambda label: counts[label])
        if counts[few] < LEAST:
            raise InputError(
                f"the {name} rows need at least {LEAST} of each label; of {n:,} rows they got {len(rows):,} with "
                f"{counts[few]} {few}: give more labelled rows, or allow that part more (--{name}-rows)"
            )
    if not len(parts["train"]):
        raise InputError(f"{n:,} rows leave none to learn from that share nothing with the others")
    for one, other in combinations(parts.values(), 2):
        check_disjoint(one.pert, one.gene, other.pert, other.gene)
