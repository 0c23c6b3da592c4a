"""How high a score can get on a question set: a replicate of the experiment, and what names alone give.

Labels are measured, so not even a predictor that knows the truth scores 1. A replicate shows how near labels and
evidence from other cells come; means over a gene's or a perturbation's other labels show how much of that needs no
biology of the pair. None of these is open to an entrant: they all use hidden labels or cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from perturbarena.benchmark.labels import CALL_DOWN, CALL_NONE, CALL_UP, NAME_OF, NOT_ASKED, Labels
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.errors import InputError
from perturbarena.stats.auroc import Ranking, rank
from perturbarena.stats.resampling import Interval, auroc_interval, resample, two_way_variance

N_RESAMPLES: Final = 1000
RANDOM: Final = 0.5
"""What any score without information gets."""
MEASURES: Final = ("score", "de_auroc", "dir_auroc")
CALLS: Final = (CALL_UP, CALL_DOWN, CALL_NONE)


class Half(NamedTuple):
    """What one half of the cells says of the labels' K perturbations × A genes.

    ``call`` int8, by the ordinary rule, NOT_ASKED where unclear or not estimated; ``z``, log2 fold change over
    its standard error before shrinkage, NaN where not estimated. Both (K, A).
    """

    call: np.ndarray
    z: np.ndarray


@dataclass(frozen=True, slots=True)
class Ceiling:
    """A score with 95 % two-way intervals (None where undefined) and what it rests on.

    ``n`` rows for DE and ``n_moved`` for DIR; of a split half, means over the two halves. NaN where undefined.
    """

    score: float
    de_auroc: float
    dir_auroc: float
    intervals: Mapping[str, Interval | None]
    n: float
    n_moved: float

    def as_json(self) -> dict[str, Any]:
        """Plain values; undefined numbers as null."""
        values = {name: getattr(self, name) for name in MEASURES}
        return {name: None if np.isnan(x) else x for name, x in values.items()} | {
            "intervals": {name: None if i is None else list(i) for name, i in self.intervals.items()},
            "n": self.n,
            "n_moved": self.n_moved,
        }


@dataclass(frozen=True, slots=True)
class Agreement:
    """What halves call the asked rows: ``share[label][call]``, call one of up, down, none, unclear.

    A row counts once for each half. ``kept``, ``lost`` (a moved gene that is none or unclear, an unmoved one that
    is moved or unclear) and ``flipped`` (up for down) sum to 1 over all rows.
    """

    share: Mapping[str, Mapping[str, float]]
    kept: float
    lost: float
    flipped: float

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        by_label = {label: dict(calls) for label, calls in self.share.items()}
        return {"kept": self.kept, "lost": self.lost, "flipped": self.flipped, "by_label": by_label}


@dataclass(frozen=True, slots=True)
class SplitCeilings:
    """One split's ceilings; ``split_half`` and ``agreement`` are None where only an effect table is known."""

    gene_mean: Ceiling
    perturbation_mean: Ceiling
    split_half: Ceiling | None
    agreement: Agreement | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "split_half": None if self.split_half is None else self.split_half.as_json(),
            "agreement": None if self.agreement is None else self.agreement.as_json(),
            "gene_mean": self.gene_mean.as_json(),
            "perturbation_mean": self.perturbation_mean.as_json(),
            "random": RANDOM,
        }


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Ceilings of every split."""

    splits: Mapping[str, SplitCeilings]

    def as_json(self) -> dict[str, Any]:
        """Plain values by split."""
        return {name: split.as_json() for name, split in self.splits.items()}


def ceilings_of(
    labels: Labels,
    rows_by_split: Mapping[str, LabelledQuestions],
    *,
    rng: np.random.Generator,
    halves: tuple[Half, Half] | None = None,
    n_resamples: int = N_RESAMPLES,
) -> Ceilings:
    """Ceilings on asked rows.

    Split half: labels of one half of the cells, wherever that half is clear, ranked by the other half's evidence,
    |z| for DE and z for DIR; the mean of both ways round. Oracles: the share of moved (DE) or of up (DIR) among
    the other labelled pairs of the row's gene, or of its perturbation, asked or not, within the perturbations and
    genes that the split asks about; the split's mean where there is no other.

    Raises
    ------
    InputError
        If a row's perturbation or gene is not among the labels.
    """
    splits = {}
    for name, rows in rows_by_split.items():
        place = _place(labels, rows, name)
        of_gene, of_pert = (_oracle(labels, place, by) for by in ("gene", "pert"))
        splits[name] = SplitCeilings(
            gene_mean=_ceiling(of_gene, rows, rng, n_resamples),
            perturbation_mean=_ceiling(of_pert, rows, rng, n_resamples),
            split_half=None if halves is None else _ceiling(_split_half(halves, place), rows, rng, n_resamples),
            agreement=None if halves is None else _agreement(halves, rows, place),
        )
    return Ceilings(splits)


class _Place(NamedTuple):
    """Where n rows stand among the labels' perturbations and genes, (n,) each."""

    pert: np.ndarray
    gene: np.ndarray


def _place(labels: Labels, rows: LabelledQuestions, split: str) -> _Place:
    places = []
    for what, names, known in (
        ("perturbation", rows.pert, labels.perturbations),
        ("gene", rows.gene, labels.genes),
    ):
        position = {str(name): i for i, name in enumerate(known)}
        unknown = sorted({str(name) for name in names} - position.keys())
        if unknown:
            raise InputError(f"the {split} rows ask about the {what} {unknown[0]}, which has no labels")
        places.append(np.array([position[str(name)] for name in names], np.int64))
    return _Place(*places)


def _split_half(halves: tuple[Half, Half], place: _Place) -> list[Ranking]:
    rankings = []
    for labelled, scored in (halves, halves[::-1]):
        call, z = (array[place.pert, place.gene] for array in (labelled.call, scored.z))
        clear = (call != NOT_ASKED) & ~np.isnan(z)
        rankings += _rankings(call, np.abs(z), z, clear)
    return rankings


def _oracle(labels: Labels, place: _Place, by: Literal["gene", "pert"]) -> list[Ranking]:
    asked_perts, pert = np.unique(place.pert, return_inverse=True)
    asked_genes, gene = np.unique(place.gene, return_inverse=True)
    call = labels.call[np.ix_(asked_perts, asked_genes)]
    own = call[pert, gene]
    scores = []
    for counted, positive in ((call != NOT_ASKED, np.abs(call) == 1), (np.abs(call) == 1, call == CALL_UP)):
        axis, cluster = (0, gene) if by == "gene" else (1, pert)
        total = (positive & counted).sum(axis=axis)[cluster] - (positive & counted)[pert, gene]
        others = counted.sum(axis=axis)[cluster] - counted[pert, gene]
        mean = positive[counted].mean() if counted.any() else RANDOM
        scores.append(np.divide(total, others, out=np.full(len(pert), mean), where=others > 0))
    return _rankings(own, scores[0], scores[1], own != NOT_ASKED)


def _rankings(call: np.ndarray, de: np.ndarray, direction: np.ndarray, clear: np.ndarray) -> list[Ranking]:
    """DE over the clear rows, DIR over those that moved; scores of other rows do not matter."""
    moved = (np.abs(call) == 1) & clear
    scores = (np.where(clear, score, 0.0) for score in (de, direction))
    return [
        rank(positive, score, among=among)
        for positive, score, among in zip((moved, call == CALL_UP), scores, (clear, moved), strict=True)
    ]


def _ceiling(
    rankings: list[Ranking], rows: LabelledQuestions, rng: np.random.Generator, n_resamples: int
) -> Ceiling:
    """Rankings are DE, DIR, or both for either half; each measure is the mean over halves."""
    n_ways = len(rankings) // 2
    replicates = resample(rankings, rows.pert, rows.gene, n_resamples=n_resamples, rng=rng)
    df = min(replicates.n_pert, replicates.n_gene) - 1
    point = np.array([ranking.value() for ranking in rankings])
    de, direction = np.tile([1.0, 0.0], n_ways) / n_ways, np.tile([0.0, 1.0], n_ways) / n_ways
    values, intervals = {}, {}
    for name, weights in zip(MEASURES, ((de + direction) / 2, de, direction), strict=True):
        used = np.flatnonzero(weights)
        values[name] = float(point[used] @ weights[used])
        variance = two_way_variance(replicates.column(weights.tolist())).total
        intervals[name] = auroc_interval(values[name], variance, df)
    counts = [sum(r.n_rows for r in rankings[k::2]) / n_ways for k in (0, 1)]
    return Ceiling(**values, intervals=intervals, n=counts[0], n_moved=counts[1])


def _agreement(halves: tuple[Half, Half], rows: LabelledQuestions, place: _Place) -> Agreement:
    label = np.concatenate([rows.label] * 2)
    call = np.concatenate([half.call[place.pert, place.gene] for half in halves])
    names = {**NAME_OF, NOT_ASKED: "unclear"}
    called = np.array([names[int(code)] for code in call], object)
    share = {
        of: {name: float(np.mean(called[label == of] == name)) for name in names.values()}
        for of in (NAME_OF[code] for code in CALLS)
        if (label == of).any()
    }
    kept = float(np.mean(called == label))
    up, down = NAME_OF[CALL_UP], NAME_OF[CALL_DOWN]
    flipped = float(np.mean(((label == up) & (called == down)) | ((label == down) & (called == up))))
    return Agreement(share, kept=kept, lost=1 - kept - flipped, flipped=flipped)
