"""What an attack is worth, and the verdict on it.

The AUROC of an attack comes with the two-way interval of all scores here; the verdict uses a wider one, adjusted
for the number of attacks, so that a set without any leak is rarely accused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from perturbarena.benchmark.attacks import MATCHED, WHAT, Attack, Kind, moves
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.stats.auroc import rank
from perturbarena.stats.resampling import LEVEL, Interval, auroc_interval, resample, two_way_variance

CLEAN_WITHIN: Final = 0.03
"""An AUROC that lies, with its adjusted interval, this near to what chance gives is of no use to anybody."""
N_RESAMPLES: Final = 2000


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
            "auroc": number_or_none(self.auroc),
            "interval": None if self.interval is None else list(self.interval),
            "adjusted_interval": None if self.adjusted is None else list(self.adjusted),
            "chance": number_or_none(self.chance),
            "n": self.n,
            "verdict": self.verdict.value,
            "sentence": self.sentence,
        }


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


def _sentence(attack: Attack, verdict: Verdict, *, below: bool) -> str:
    what = WHAT[attack.name]
    does = moves(attack.target)
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


def number_or_none(value: float) -> float | None:
    """JSON has no NaN."""
    return None if np.isnan(value) else value
