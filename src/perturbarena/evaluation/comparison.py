"""Is B better than A? Paired differences of answers to the same rows, with a verdict in words.

Rows, perturbations and genes are the same on both sides, so their luck cancels for the most part and a difference
is known far better than either score. What is left is two-way, like a score's own uncertainty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena.challenge.records import NONE, UP
from perturbarena.errors import InputError
from perturbarena.evaluation.files import Answered
from perturbarena.evaluation.metric import N_RESAMPLES, ScoredRows, json_number
from perturbarena.stats.auroc import rank
from perturbarena.stats.paired import Duel, PairedDifference, holm, paired_difference, swap_test
from perturbarena.stats.resampling import LEVEL, Draws, replicate_rankings, two_way_variance

ALPHA: Final = 0.05
"""Share of comparisons of equals that may be called a difference."""
ROUNDING: Final = 1e-9
"""Below this a spread is that of floating-point sums and not of answers."""
COMPARED: Final = ("score", "DE", "DIR", "DE_within_genes")
"""What is compared, in the order of reporting."""
_COMBINATIONS: Final = {
    "score": (0.5, 0.5, 0.0),
    "DE": (1.0, 0.0, 0.0),
    "DIR": (0.0, 1.0, 0.0),
    "DE_within_genes": (0.0, 0.0, 1.0),
}
"""Each as a combination of the three rankings DE, DIR, within genes."""
_SWAPPED: Final = ("score", "DE", "DIR")
"""What the exchange of answers is done for."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One measure of two sets of answers.

    Attributes
    ----------
    first, second
        The measure of either side.
    difference
        ``second − first`` with interval, p and the smallest difference that would be found four times in five.
    p_swap
        p when the two sides' answers trade places by cluster; NaN where not done.
    p_holm
        ``difference.p`` after Holm's correction for the number of comparisons.
    verdict
        In words.
    """

    first: float
    second: float
    difference: PairedDifference
    p_swap: float
    p_holm: float
    verdict: str

    def as_json(self) -> dict[str, Any]:
        """Plain values; None where a number is undefined."""
        d = self.difference
        return {
            "difference": json_number(d.difference),
            "interval": None if d.interval is None else list(d.interval),
            "p": json_number(d.p),
            "minimum_detectable": json_number(d.minimum_detectable),
            "verdict": self.verdict,
            "p_swap": json_number(self.p_swap),
            "p_holm": json_number(self.p_holm),
            "A": json_number(self.first),
            "B": json_number(self.second),
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sets of answers: the contrast of each measure in ``COMPARED``, and what a reader should be told."""

    first: str
    second: str
    contrasts: Mapping[str, Contrast]
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values, one object a measure."""
        found = {name: contrast.as_json() for name, contrast in self.contrasts.items()}
        return {"first": self.first, "second": self.second, **found, "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Rows that a measure rests on."""

    n: int
    n_de: int
    n_pairs: int

    def of(self, measure: str) -> str:
        return {
            "DIR": f"{self.n_de:,} moved rows",
            "DE_within_genes": f"{self.n_pairs:,} pairs",
        }.get(measure, f"{self.n:,} rows")


def compare(
    answered: Answered,
    *,
    names: Sequence[str] | None = None,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
) -> list[Comparison]:
    """Every further set of answers against the first, B − A.

    ``V(B − A)`` is two-way, from resamples that both sides share; ``t = (B − A)/√V`` has as many degrees of
    freedom as the smaller number of clusters less one. Verdicts follow p, Holm-corrected over the comparisons of a
    measure.

    Parameters
    ----------
    answered
        At least two files' answers.
    names
        What the sides are called in verdicts; A, B, C, … unless given.
    level
        Of the intervals and verdicts.

    Raises
    ------
    InputError
        If there is only one file, or fewer than 2 resamples are asked for.
    """
    n_files = len(answered.answers)
    if n_files < 2:
        raise InputError(f"a comparison needs at least two files of answers; got {n_files}")
    names = [chr(ord("A") + i) if i < 26 else f"no. {i + 1}" for i in range(n_files)] if names is None else names
    rows = [answered.rows(i) for i in range(n_files)]
    draws = Draws.of(answered.truth.pert, answered.truth.gene, n_resamples=n_resamples, rng=rng)
    differences = _differences(rows, draws, level)
    swapped = np.array([_swap(rows[0], other, draws) for other in rows[1:]])
    p = np.array([[of[measure][2].p for measure in COMPARED] for of in differences])
    corrected = np.column_stack([holm(p[:, k]) for k in range(len(COMPARED))])
    sizes = _sizes(rows[0])
    found = []
    for i, of in enumerate(differences):
        contrasts = {
            measure: Contrast(
                *of[measure],
                swapped[i, k],
                corrected[i, k],
                _verdict(of[measure][2], corrected[i, k], 1 - level, names[0], names[i + 1], sizes.of(measure)),
            )
            for k, measure in enumerate(COMPARED)
        }
        notes = _notes(contrasts, 1 - level, corrections=len(differences))
        found.append(Comparison(names[0], names[i + 1], contrasts, notes))
    return found


def _differences(
    rows: Sequence[ScoredRows], draws: Draws, level: float
) -> list[dict[str, tuple[float, float, PairedDifference]]]:
    """Of each set of answers but the first: both sides' values and their paired difference, by measure."""
    moved, up = rows[0].label != NONE, rows[0].label == UP
    rankings = [
        ranking
        for r in rows
        for ranking in (
            rank(moved, r.de_score),
            rank(up, r.dir_score, among=moved),
            rank(moved, r.de_score, group=r.gene),
        )
    ]
    values = np.array([ranking.value() for ranking in rankings]).reshape(len(rows), 3)
    replicates = replicate_rankings(rankings, draws)
    df = min(replicates.n_pert, replicates.n_gene) - 1
    found = []
    for i in range(1, len(rows)):
        of = {}
        for measure, combination in _COMBINATIONS.items():
            used = np.flatnonzero(combination)
            a, b = (float(values[k, used] @ np.asarray(combination)[used]) for k in (0, i))
            weights = np.zeros((len(rows), 3))
            weights[0], weights[i] = -np.asarray(combination), combination
            variance = two_way_variance(replicates.column(weights.ravel().tolist())).total
            of[measure] = (a, b, paired_difference(b - a, variance, df, level=level))
        found.append(of)
    return found


def _swap(first: ScoredRows, second: ScoredRows, draws: Draws) -> list[float]:
    """p of exchanging answers for every measure in ``COMPARED``; NaN where it is not done or undefined."""
    moved, up = first.label != NONE, first.label == UP
    both = [moved.any() and not moved.all(), bool(up.any()) and bool((moved & ~up).any())]
    duels = []
    if both[0]:
        duels.append(Duel.of(moved, first.de_score, second.de_score))
    if both[1]:
        duels.append(Duel.of(up, first.dir_score, second.dir_score, among=moved))
    done = [name for name in _SWAPPED if all(b for b, w in zip(both, _COMBINATIONS[name], strict=False) if w)]
    if not done:
        return [float("nan")] * len(COMPARED)
    weights = np.array([_COMBINATIONS[name][:2] for name in done])[:, both]
    p = dict(zip(done, swap_test(duels, weights, draws=draws), strict=True))
    return [float(p.get(name, np.nan)) for name in COMPARED]


def _sizes(rows: ScoredRows) -> _Sizes:
    moved = rows.label != NONE
    within = rank(moved, np.zeros(len(moved)), group=rows.gene)
    return _Sizes(len(moved), int(moved.sum()), int(within.counts().pairs.sum()))


def _verdict(d: PairedDifference, p: float, alpha: float, first: str, second: str, of: str) -> str:
    if d.interval is None:
        return f"cannot be told: the measure, or its spread, is undefined on these {of}"
    if d.difference == 0 and d.minimum_detectable < ROUNDING:
        return f"{first} and {second} rank these {of} alike"
    if p < alpha:
        return f"{second if d.difference > 0 else first} is better"
    return f"cannot be told apart with these {of}: differences under {d.minimum_detectable:.3f} are invisible"


def _notes(contrasts: Mapping[str, Contrast], alpha: float, *, corrections: int) -> tuple[str, ...]:
    notes = []
    published, within = contrasts["DE"], contrasts["DE_within_genes"]
    told = {name: c.p_holm < alpha for name, c in contrasts.items()}
    if told["DE"] and not told["DE_within_genes"]:
        notes.append(
            f"The difference in DE is there only as published ({published.difference.difference:+.3f}); within "
            "genes, where row counts and knowledge of genes do not help, it is "
            f"{within.difference.difference:+.3f} and cannot be told from 0."
        )
    if told["DE"] and told["DE_within_genes"] and published.difference[0] * within.difference[0] < 0:
        notes.append("DE as published and DE within genes differ in opposite directions.")
    if corrections > 1:
        notes.append(
            f"Verdicts are Holm-corrected over {corrections} comparisons a measure; intervals are each 95 %."
        )
    return tuple(notes)
