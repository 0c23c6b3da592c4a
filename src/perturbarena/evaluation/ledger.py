"""A gate for tuning: a variant passes only if it is told from what it is to replace, however often one has looked.

Whoever tries twenty variants on the same rows finds one that is "better" at 5 % by luck alone. Every look is
therefore kept in a ledger file, and each is judged more strictly than the one before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from perturbarena.challenge.folds import check_disjoint
from perturbarena.challenge.formats import write_json
from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.errors import FormatError, InputError
from perturbarena.evaluation.comparison import ALPHA, Contrast, compare
from perturbarena.evaluation.files import Answered
from perturbarena.evaluation.metric import N_RESAMPLES

FORMAT_VERSION: Final = 1
MANY_LOOKS: Final = 5
"""Looks at the same rows from which on the report warns: 0.05/(k(k + 1)) is then below 0.002."""

Measure = Literal["score", "DE", "DIR", "DE_within_genes"]


@dataclass(frozen=True, slots=True)
class Look:
    """One variant tried on one set of rows; no time and no path, so that the same look is the same record.

    Attributes
    ----------
    rows, variant, baseline
        SHA-256 of the rows with their labels, and of either side's answers to them.
    measure
        What was compared.
    number
        The how-many-th look at these rows this is, from 1.
    alpha
        What the look was judged at, ``0.05/(number·(number + 1))``.
    difference, low, high
        Variant − baseline and its interval of level 1 − alpha; None where undefined.
    disjoint
        True where the training rows were given and share nothing with these; None where nobody could check.
    accepted
        Whether the interval lies above 0.
    """

    rows: str
    variant: str
    baseline: str
    measure: str
    number: int
    alpha: float
    difference: float | None
    low: float | None
    high: float | None
    disjoint: bool | None
    accepted: bool

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes two looks the same one."""
        return self.rows, self.variant, self.baseline, self.measure


@dataclass(frozen=True, slots=True)
class Gated:
    """A look with the contrast behind it, how many there were at these rows, and what a reader should be told."""

    look: Look
    contrast: Contrast
    n_looks: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain values; None where a number is undefined."""
        return (
            {"accepted": self.look.accepted}
            | self.contrast.as_json()
            | {
                "measure": self.look.measure,
                "look": self.look.number,
                "looks": self.n_looks,
                "alpha": self.look.alpha,
                "level": 1 - self.look.alpha,
                "disjoint": self.look.disjoint,
                "rows": self.look.rows,
                "variant": self.look.variant,
                "baseline": self.look.baseline,
                "notes": list(self.notes),
            }
        )


def gate(
    answered: Answered,
    *,
    ledger: Path,
    measure: Measure = "score",
    train: LabelledQuestions | None = None,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> Gated:
    """Judge a variant (second file) against a baseline (first), and write the look into the ledger.

    Look k at the same rows is judged at ``α_k = 0.05/(k(k + 1))``: a Bonferroni correction over looks whose number
    is not known beforehand, since ``Σ_k α_k = 0.05``. The chance that any of however many worthless variants
    passes is at most 5 %. The same look again is the same look and costs nothing.

    Parameters
    ----------
    answered
        Answers of baseline and variant to the same rows.
    ledger
        JSON file, made if needed.
    train
        What the variants were trained on. Then no perturbation and no gene may be in both.

    Raises
    ------
    FoldLeakError
        If training rows share a perturbation or a gene with the rows.
    FormatError
        If the ledger is not one.
    InputError
        If there are not two files.
    """
    if len(answered.answers) != 2:
        raise InputError(f"a gate needs a baseline and a variant; got {len(answered.answers)} files")
    rows = answered.truth
    if train is not None:
        check_disjoint(train.pert, train.gene, rows.pert, rows.gene)
    looks = read_ledger(ledger)
    hashes = (_hash_rows(rows), *(_hash_answers(a) for a in reversed(answered.answers)))
    before = [look for look in looks if look.rows == hashes[0]]
    number = next((look.number for look in before if look.key == (*hashes, measure)), len(before) + 1)
    alpha = ALPHA / (number * (number + 1))
    names = ("the baseline", "the variant")
    (found,) = compare(answered, names=names, rng=rng, n_resamples=n_resamples, level=1 - alpha)
    contrast = found.contrasts[measure]
    d, interval = contrast.difference, contrast.difference.interval
    look = Look(
        *hashes,
        measure=measure,
        number=number,
        alpha=alpha,
        difference=d.difference if np.isfinite(d.difference) else None,
        low=None if interval is None else interval.low,
        high=None if interval is None else interval.high,
        disjoint=None if train is None else True,
        accepted=interval is not None and interval.low > 0,
    )
    kept = [look if old.key == look.key else old for old in looks]
    kept += [] if number <= len(before) else [look]
    write_json(ledger, {"format_version": FORMAT_VERSION, "looks": [asdict(one) for one in kept]})
    n_looks = max(number, len(before))
    notes = found.notes if measure in ("score", "DE") else ()
    return Gated(look, contrast, n_looks, _notes(look, n_looks) + notes)


def read_ledger(path: Path) -> list[Look]:
    """The looks of a ledger, in order; none where there is no such file.

    Raises
    ------
    FormatError
        If the file is no ledger of this version.
    """
    if not path.exists():
        return []
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format_version"] != FORMAT_VERSION:
            raise FormatError(
                f"{path}: a ledger of version {FORMAT_VERSION} is needed; got {content['format_version']}"
            )
        return [Look(**look) for look in content["looks"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path} is not a ledger of looks: {error}") from error


def _notes(look: Look, n_looks: int) -> tuple[str, ...]:
    notes = [
        f"Look {look.number} at these rows: judged at {look.alpha:.2g}, the {1 - look.alpha:.2%} interval, so "
        "that all looks together pass a worthless variant at most 5 times in 100."
    ]
    if n_looks >= MANY_LOOKS:
        notes.append(
            f"These rows have been looked at {n_looks} times. Every further look sees less; fresh rows would see "
            "more."
        )
    if look.disjoint is None:
        notes.append(
            "Nobody checked that the answers are out of fold: give the training rows (--train) to have it checked."
        )
    return tuple(notes)


def _hash_rows(rows: LabelledQuestions) -> str:
    return _hash(f"{id_}\t{label}" for id_, label in sorted(zip(rows.id, rows.label, strict=True)))


def _hash_answers(answers: Predictions) -> str:
    lines = zip(answers.id, answers.p_up.tolist(), answers.p_down.tolist(), strict=True)
    return _hash(f"{id_}\t{p_up!r}\t{p_down!r}" for id_, p_up, p_down in sorted(lines))


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
