"""Predictions and truth → the challenge's score, DE reported three ways, and how far each may be off.

Two front doors: :func:`score_strict` refuses what cannot be meant, :func:`score_reference` does what the published
scripts do. Both end in the same measures and intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from perturbarena.challenge.records import NONE, UP, LabelledQuestions, Predictions
from perturbarena.errors import InputError, PredictionError, ReferenceMetricError
from perturbarena.evaluation import reference
from perturbarena.stats.auroc import Ranking, rank
from perturbarena.stats.resampling import (
    MIN_DEFINED,
    Draws,
    Interval,
    Replicates,
    TwoWayVariance,
    auroc_interval,
    replicate_rankings,
    two_way_variance,
)

MEASURES: Final = ("score", "de_auroc", "dir_auroc", "de_within_strata", "de_within_gene")
"""Every number that is reported, in the order of reporting."""
N_RESAMPLES: Final = 2000
"""Resamples each way; the standard deviation is then known to about 2 %."""
PLAIN_RULES: Final[dict[str, Any]] = {
    "mode": "strict",
    "track": False,
    "p_up": "prediction_up",
    "p_down": "prediction_down",
    "columns": [],
    "limits": [],
}
"""Strict scoring of the two predictions alone, without a track's columns and limits."""

_COUNTS: Final = (
    "n", "n_de", "n_up", "n_perts", "n_genes", "n_pairs", "n_strata", "n_strata_left_out", "n_rows_left_out",
)  # fmt: skip
_COMBINATIONS: Final = {
    "score": (0.5, 0.5, 0.0, 0.0),
    "de_auroc": (1.0, 0.0, 0.0, 0.0),
    "dir_auroc": (0.0, 1.0, 0.0, 0.0),
    "de_within_strata": (0.0, 0.0, 1.0, 0.0),
    "de_within_gene": (0.0, 0.0, 0.0, 1.0),
}
"""Each measure as a combination of the four rankings: DE, DIR, within strata, within gene."""


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """Scores with what they rest on. An undefined number is NaN and ``unscored`` says why.

    Attributes
    ----------
    score
        ``(de_auroc + dir_auroc) / 2``.
    de_auroc, dir_auroc
        As published: moved against unmoved over all rows; up against down over the moved rows.
    de_within_strata
        One DE AUROC per exact number of rows that the gene has in the question set, averaged with rows as weights.
    de_within_gene
        DE over pairs of rows of the same target gene, pooled.
    n, n_de, n_up, n_perts, n_genes
        Rows scored; moved rows; rows that go up; different perturbations and genes (0 where unknown).
    n_pairs
        Pairs of a moved and an unmoved row of the same gene.
    n_strata, n_strata_left_out, n_rows_left_out
        Strata with both classes; strata without, and their rows.
    intervals
        95 % interval of each measure, None where it cannot be told.
    variances
        What each interval rests on, by way of resampling; empty without pairs.
    unscored
        Why a measure, or its interval, is undefined: ``{"de_auroc": …, "intervals.score": …}``.
    """

    score: float
    de_auroc: float
    dir_auroc: float
    de_within_strata: float
    de_within_gene: float
    n: int
    n_de: int
    n_up: int
    n_perts: int
    n_genes: int
    n_pairs: int
    n_strata: int
    n_strata_left_out: int
    n_rows_left_out: int
    intervals: Mapping[str, Interval | None]
    variances: Mapping[str, TwoWayVariance] = field(default_factory=dict)
    unscored: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values; None where a number is undefined."""
        values = {name: json_number(getattr(self, name)) for name in MEASURES}
        counts = {name: getattr(self, name) for name in _COUNTS}
        sd = {
            name: {f"over_{way}": json_number(np.sqrt(getattr(v, way))) for way in ("pert", "gene", "row")}
            | {"two_way": json_number(np.sqrt(v.total))}
            for name, v in self.variances.items()
        }
        intervals = {name: None if i is None else list(i) for name, i in self.intervals.items()}
        return values | counts | {"intervals": intervals, "sd": sd, "unscored": dict(self.unscored)}


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """What the measures are computed from, each of shape (n,).

    ``pert`` and ``gene`` are None where they are unknown; ``stratum`` is the number of rows that the row's gene
    has in the question set.
    """

    label: np.ndarray
    de_score: np.ndarray
    dir_score: np.ndarray
    pert: np.ndarray | None
    gene: np.ndarray | None
    stratum: np.ndarray | None

    @classmethod
    def of(
        cls, truth: LabelledQuestions, answers: Predictions, *, counted_genes: np.ndarray | None = None
    ) -> ScoredRows:
        """Strict reading of ``answers``, which stand in the truth's order; ``counted_genes`` as in scoring."""
        return cls(
            label=truth.label,
            de_score=answers.p_up + answers.p_down,
            dir_score=reference.direction_strict(answers.p_up, answers.p_down),
            pert=truth.pert,
            gene=truth.gene,
            stratum=_row_counts(truth.gene, truth.gene if counted_genes is None else counted_genes),
        )

    def take(self, index: np.ndarray) -> ScoredRows:
        """The rows at ``index`` (positions or a Boolean mask), in that order; strata stay as they are."""
        shared = (None if column is None else column[index] for column in (self.pert, self.gene, self.stratum))
        return ScoredRows(self.label[index], self.de_score[index], self.dir_score[index], *shared)


def score_strict(
    truth: LabelledQuestions,
    predictions: Predictions | pd.DataFrame,
    *,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    counted_genes: np.ndarray | None = None,
    among: np.ndarray | None = None,
    rules: Mapping[str, Any] = PLAIN_RULES,
) -> ScoreResult:
    """Score predictions, refusing what cannot be meant.

    Parameters
    ----------
    truth
        Labelled questions; each needs a prediction.
    predictions
        A record, or a table with the columns that ``rules`` name (cells may be text).
    rng, n_resamples
        For the intervals; ``n_resamples = 0`` leaves them out.
    counted_genes
        The gene of each row of the whole question set; strata are made from their counts. Default: truth's own.
    among
        The rows of ``truth`` to score, shape (n,), bool (one split of the solution). Default: all.
    rules
        Column names, a track's further columns and limits, see :mod:`perturbarena.evaluation.reference`.

    Raises
    ------
    PredictionError
        If an id is repeated, missing or unknown, a cell is no number, a value lies outside [0, 1], a sum exceeds
        1, a column is missing, or a limit is exceeded.
    """
    wanted = truth if among is None else truth.take(among)
    answers = strict_answers(truth, predictions, among=among, rules=rules)
    counted = truth.gene if counted_genes is None else counted_genes
    return measure(ScoredRows.of(wanted, answers, counted_genes=counted), rng=rng, n_resamples=n_resamples)


def strict_answers(
    truth: LabelledQuestions,
    predictions: Predictions | pd.DataFrame,
    *,
    among: np.ndarray | None = None,
    rules: Mapping[str, Any] = PLAIN_RULES,
) -> Predictions:
    """The answers to the truth's rows ``among``, in their order; arguments and errors as :func:`score_strict`."""
    table = _table(predictions, rules) if isinstance(predictions, Predictions) else predictions
    wanted = truth.id if among is None else truth.id[among]
    if not len(wanted):
        raise InputError("the truth has no rows to score")
    try:
        p_up, p_down = reference.strict_predictions(
            pd.Series(wanted), table, "id", dict(rules), known=pd.Series(truth.id)
        )
    except reference.ParticipantVisibleError as refused:
        raise PredictionError(str(refused)) from refused
    return Predictions(wanted, p_up, p_down)


def score_reference(
    solution: pd.DataFrame,
    submission: pd.DataFrame,
    *,
    rules: Mapping[str, Any],
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
    pairs: Mapping[str, tuple[str, str]] | None = None,
    counted_genes: np.ndarray | None = None,
) -> ScoreResult:
    """Score as the published script does, errors included.

    ``solution`` and ``submission`` are tables as pandas infers them. ``pairs`` gives the perturbation and gene of
    an id; without it, the score has no intervals and DE within strata and genes is undefined. ``counted_genes`` as
    in :func:`score_strict`.

    Raises
    ------
    ReferenceMetricError
        Where the published script stops, with its message.
    """
    try:
        found = reference.evaluate(solution, submission, "id", dict(rules))
    except (reference.ParticipantVisibleError, KeyError, TypeError, ValueError, OverflowError) as refused:
        raise ReferenceMetricError(str(refused)) from refused
    pert = gene = stratum = None
    if pairs is not None:
        named = [pairs[id_] for id_ in found.ids.astype(str)]
        pert, gene = (np.array([pair[k] for pair in named], object) for k in (0, 1))
        counted = counted_genes if counted_genes is not None else np.array([g for _, g in pairs.values()], object)
        stratum = _row_counts(gene, counted)
    rows = ScoredRows(
        label=found.label,
        de_score=found.p_up + found.p_down,
        dir_score=reference.direction_published(found.p_up, found.p_down),
        pert=pert,
        gene=gene,
        stratum=stratum,
    )
    return measure(rows, rng=rng, n_resamples=n_resamples)


def measure(rows: ScoredRows, *, rng: np.random.Generator, n_resamples: int = N_RESAMPLES) -> ScoreResult:
    """All measures of these rows, with intervals where pairs are known."""
    draws = None
    if rows.pert is not None and rows.gene is not None and n_resamples:
        draws = Draws.of(rows.pert, rows.gene, n_resamples=n_resamples, rng=rng)
    return measure_shared(rows, draws=draws)[0]


class Measured(NamedTuple):
    """A result, and the four rankings' replicates that its intervals rest on; None without draws."""

    result: ScoreResult
    replicates: Replicates | None


def measure_shared(rows: ScoredRows, *, draws: Draws | None) -> Measured:
    """As :func:`measure`, under draws that other answers to the same rows share."""
    moved, up = rows.label != NONE, rows.label == UP
    rankings = _rankings(rows, moved, up)
    point = [float("nan") if r is None else r.value() for r in rankings]
    point += [0.5 * (point[0] + point[1])]
    de, direction, strata, within, score = point
    values: dict[str, float] = dict(zip(MEASURES, (score, de, direction, strata, within), strict=True))
    unscored = _why_undefined(values, moved, up, pairs_known=rows.gene is not None)
    present = [r for r in rankings if r is not None]
    whole = draws is not None and len(present) == len(rankings)
    replicates = replicate_rankings(present, draws) if whole else None  # pyright: ignore[reportArgumentType]
    intervals, variances = _intervals(rows, replicates, values, unscored)
    by_stratum, by_gene = rankings[2], rankings[3]
    result = ScoreResult(
        **values,
        n=len(moved),
        n_de=int(moved.sum()),
        n_up=int(up.sum()),
        n_perts=0 if rows.pert is None else len(set(rows.pert)),
        n_genes=0 if rows.gene is None else len(set(rows.gene)),
        n_pairs=0 if by_gene is None else int(by_gene.counts().pairs.sum()),
        n_strata=0 if by_stratum is None else by_stratum.n_groups,
        n_strata_left_out=0 if by_stratum is None else by_stratum.n_groups_left_out,
        n_rows_left_out=0 if by_stratum is None else by_stratum.n_rows_left_out,
        intervals=intervals,
        variances=variances,
        unscored=unscored,
    )
    return Measured(result, replicates)


def _rankings(rows: ScoredRows, moved: np.ndarray, up: np.ndarray) -> list[Ranking | None]:
    return [
        rank(moved, rows.de_score),
        rank(up, rows.dir_score, among=moved),
        None if rows.stratum is None else rank(moved, rows.de_score, group=rows.stratum, combine="rows"),
        None if rows.gene is None else rank(moved, rows.de_score, group=rows.gene),
    ]


def _why_undefined(
    values: Mapping[str, float], moved: np.ndarray, up: np.ndarray, *, pairs_known: bool
) -> dict[str, str]:
    no_de = f"needs moved and unmoved rows; {moved.sum()} of {len(moved)} rows moved"
    no_dir = f"needs rows that go up and rows that go down; {up.sum()} of {moved.sum()} moved rows go up"
    reasons = {
        "score": no_de if np.isnan(values["de_auroc"]) else no_dir,
        "de_auroc": no_de,
        "dir_auroc": no_dir,
        "de_within_strata": "no stratum has moved and unmoved rows",
        "de_within_gene": "no gene has moved and unmoved rows",
    }
    if not pairs_known:
        reasons |= dict.fromkeys(("de_within_strata", "de_within_gene"), NO_PAIRS)
    return {name: reasons[name] for name, value in values.items() if np.isnan(value)}


NO_PAIRS: Final = "the rows' perturbation and gene are unknown; give the questions file (--questions)"


def _intervals(
    rows: ScoredRows,
    replicates: Replicates | None,
    values: Mapping[str, float],
    unscored: dict[str, str],
) -> tuple[dict[str, Interval | None], dict[str, TwoWayVariance]]:
    """Intervals and variances; what is undefined is written into ``unscored``."""
    intervals: dict[str, Interval | None] = dict.fromkeys(MEASURES)
    if replicates is None:
        why = "no resamples were asked for" if rows.pert is not None else NO_PAIRS
        unscored.update({f"intervals.{name}": why for name in MEASURES})
        return intervals, {}
    df = min(replicates.n_pert, replicates.n_gene) - 1
    variances = {}
    for name in MEASURES:
        variances[name] = two_way_variance(replicates.column(_COMBINATIONS[name]))
        intervals[name] = auroc_interval(values[name], variances[name].total, df)
        if intervals[name] is None:
            unscored[f"intervals.{name}"] = _why_no_interval(values[name], df)
    return intervals, variances


def _why_no_interval(value: float, df: int) -> str:
    if np.isnan(value):
        return "the measure is undefined"
    if df < 1:
        return "needs at least 2 perturbations and 2 genes"
    if value in (0.0, 1.0):
        return f"every pair is ranked {'right' if value else 'wrong'}, and so it is in every resample"
    return f"undefined in more than {1 - MIN_DEFINED:.0%} of the resamples: a class is too rare"


def _row_counts(gene: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """How many rows of ``counted`` each gene has."""
    names, counts = np.unique(np.asarray(counted, str), return_counts=True)
    position = np.searchsorted(names, np.asarray(gene, str)).clip(max=len(names) - 1)
    absent = names[position] != np.asarray(gene, str)
    if absent.any():
        raise InputError(f"the questions file has no row of the gene {gene[absent][0]}, which is in the truth")
    return counts[position]


def _table(predictions: Predictions, rules: Mapping[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"id": predictions.id, rules["p_up"]: predictions.p_up, rules["p_down"]: predictions.p_down}
    )


def json_number(value: float) -> float | None:
    """The number, or None where it is undefined: JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
