"""What a predictor could reach at most that knows one name of a question and nothing else.

No attack, since it is told the answers; a ceiling for all that go by one name: counts of rows, means of labels,
a language model that only weighs how lively a gene is. Where a set's design matches labels within genes, the
ceiling lies far below what labels dealt at random would allow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena.benchmark.attacks import moves, targets
from perturbarena.benchmark.leakage import number_or_none
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.stats.auroc import auroc

N_DEALS: Final = 20
"""Random deals of the labels that the expected ceiling is averaged over."""


@dataclass(frozen=True, slots=True)
class Oracle:
    """The highest AUROC of any score that is a function of one name, and what it is with labels dealt at random.

    ``oracle`` says whose name; ``rows``, ``target`` and ``n`` are as in a finding. NaN where a class is missing.
    """

    oracle: str
    target: str
    rows: str
    auroc: float
    dealt: float
    n: int
    sentence: str

    def as_json(self) -> dict[str, Any]:
        """Plain values, undefined numbers as null."""
        return {
            "oracle": self.oracle,
            "target": self.target,
            "rows": self.rows,
            "auroc": number_or_none(self.auroc),
            "dealt": number_or_none(self.dealt),
            "n": self.n,
            "sentence": self.sentence,
        }


def oracles(rows: LabelledQuestions, *, of: str, rng: np.random.Generator) -> list[Oracle]:
    """Gene-only and perturbation-only ceilings for both targets.

    No order of names beats that by their share of positives S_c/n_c (Neyman and Pearson's lemma,
    doi:10.1098/rsta.1933.0009, on the rows as they are), so its AUROC is the ceiling.
    """
    found = []
    for target, positive, among in targets(rows):
        y = positive[among]
        for name, names in (("gene", rows.gene), ("perturbation", rows.pert)):
            code = np.unique(names[among].astype(str), return_inverse=True)[1]
            value = _ceiling(code, y)
            dealt = float(np.mean([_ceiling(code, rng.permutation(y)) for _ in range(N_DEALS)]))
            found.append(Oracle(name, target, of, value, dealt, len(y), _sentence(name, target, value, dealt)))
    return found


def _ceiling(code: np.ndarray, positive: np.ndarray) -> float:
    if not len(code):
        return float("nan")
    return auroc(positive, (np.bincount(code, positive) / np.bincount(code))[code])


def _sentence(name: str, target: str, value: float, dealt: float) -> str:
    if np.isnan(value):
        return f"one class is missing, so nothing says what the {name} alone could tell"
    return (
        f"who knows the {name} alone tells {moves(target)} with AUROC {value:.3f} at most; "
        f"{dealt:.3f} with the same labels dealt at random"
    )
