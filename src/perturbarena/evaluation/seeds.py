"""Several seeds' answers to the same questions: how far scores vary between seeds, and within one.

Between seeds is what another throw of the dice would change; within a seed, what other perturbations and genes
would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from perturbarena.challenge.records import NONE, UP
from perturbarena.challenge.rules import Challenge, Track
from perturbarena.evaluation.files import Answered
from perturbarena.evaluation.metric import N_RESAMPLES, ScoredRows, json_number, strict_answers
from perturbarena.stats.auroc import rank
from perturbarena.stats.paired import PairedDifference, paired_difference
from perturbarena.stats.resampling import Draws, replicate_rankings, two_way_variance

_COMBINATIONS = {"score": (0.5, 0.5), "DE": (1.0, 0.0), "DIR": (0.0, 1.0)}


@dataclass(frozen=True, slots=True)
class SeedMeasure:
    """One measure of every seed.

    Attributes
    ----------
    by_seed
        Its value for each seed.
    sd_between
        Standard deviation over the seeds' values.
    sd_within
        Root of the mean two-way variance of a single seed's value.
    gain
        The submitted prediction less the mean of the single seeds, paired.
    """

    by_seed: tuple[float, ...]
    sd_between: float
    sd_within: float
    gain: PairedDifference


@dataclass(frozen=True, slots=True)
class AnswerSpread:
    """Variance of an answer between questions and, over seeds, within one (one-way analysis of variance)."""

    between: float
    within: float

    def share(self, k: int) -> float:
        """Share of the variance of a mean of k seeds that is the questions'."""
        total = self.between + self.within / k
        return self.between / total if total > 0 else float("nan")


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """All of it, for seeds in order."""

    seeds: tuple[int, ...]
    measures: dict[str, SeedMeasure]
    answers: dict[str, AnswerSpread]

    def as_json(self) -> dict[str, Any]:
        """Plain values; None where a number is undefined."""
        found: dict[str, Any] = {"seeds": list(self.seeds)}
        for name, m in self.measures.items():
            found[name] = {
                "by_seed": [json_number(value) for value in m.by_seed],
                "sd_between_seeds": json_number(m.sd_between),
                "sd_within_seed": json_number(m.sd_within),
                "gain_of_all": json_number(m.gain.difference),
                "gain_interval": None if m.gain.interval is None else list(m.gain.interval),
            }
        found["answers"] = {
            name: {
                "variance_between_questions": json_number(a.between),
                "variance_within_question": json_number(a.within),
                "questions_share_one_seed": json_number(a.share(1)),
                "questions_share_all_seeds": json_number(a.share(len(self.seeds))),
            }
            for name, a in self.answers.items()
        }
        return found


def seed_spread(
    answered: Answered, *, challenge: Challenge, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> SeedSpread | None:
    """How the first file's seeds differ; None where its columns hold no track's seeds.

    Raises
    ------
    PredictionError
        If a seed's cell is no number or lies outside [0, 1].
    """
    table = answered.tables[0]
    track = _track_with_seeds(challenge, table)
    if track is None:
        return None
    rows = [_rows_of_seed(answered, track, seed, table) for seed in track.seeds]
    measures = _measures([*rows, answered.rows()], rng=rng, n_resamples=n_resamples)
    answers = {
        name: answer_spread(np.array([getattr(r, column) for r in rows]))
        for name, column in (("DE", "de_score"), ("DIR", "dir_score"))
    }
    return SeedSpread(track.seeds, measures, answers)


def _track_with_seeds(challenge: Challenge, table: pd.DataFrame) -> Track | None:
    for track in challenge.tracks.values():
        needed = [track.find(role, seed=seed) for seed in track.seeds for role in ("p_up", "p_down")]
        if len(track.seeds) > 1 and all(c is not None and c.name in table.columns for c in needed):
            return track
    return None


def _rows_of_seed(answered: Answered, track: Track, seed: int, table: pd.DataFrame) -> ScoredRows:
    rules = {
        "mode": "strict", "track": False, "columns": [], "limits": [],
        "p_up": track.column("p_up", seed=seed).name, "p_down": track.column("p_down", seed=seed).name,
    }  # fmt: skip
    # The file may hold rows that are not scored (another split); those were checked when it was read.
    of_rows = table[table["id"].isin(answered.truth.id)]
    answers = strict_answers(answered.truth, of_rows, rules=rules)
    return ScoredRows.of(answered.truth, answers, counted_genes=answered.counted_genes)


def _measures(rows: Sequence[ScoredRows], *, rng: np.random.Generator, n_resamples: int) -> dict[str, SeedMeasure]:
    """The seeds' rows, and last those of the submitted prediction."""
    moved, up = rows[0].label != NONE, rows[0].label == UP
    rankings = [f for r in rows for f in (rank(moved, r.de_score), rank(up, r.dir_score, among=moved))]
    value = np.array([ranking.value() for ranking in rankings]).reshape(len(rows), 2)
    replicates, df, s = None, 0, len(rows) - 1
    if n_resamples and rows[0].pert is not None and rows[0].gene is not None:
        draws = Draws.of(rows[0].pert, rows[0].gene, n_resamples=n_resamples, rng=rng)
        replicates, df = replicate_rankings(rankings, draws), min(draws.sizes[:2]) - 1
    found = {}
    for name, combination in _COMBINATIONS.items():
        used = np.flatnonzero(combination)
        values = value[:, used] @ np.asarray(combination)[used]
        within, gain_variance = float("nan"), float("nan")
        if replicates is not None:
            single = np.eye(s, s + 1)[..., None] * np.asarray(combination)
            variances = [two_way_variance(replicates.column(w.ravel().tolist())).total for w in single]
            within = float(np.sqrt(np.mean(variances)))
            contrast = np.r_[np.full(s, -1 / s), 1.0][:, None] * np.asarray(combination)
            gain_variance = two_way_variance(replicates.column(contrast.ravel().tolist())).total
        gain = paired_difference(float(values[-1] - values[:-1].mean()), gain_variance, df)
        found[name] = SeedMeasure(tuple(values[:-1].tolist()), float(np.std(values[:-1], ddof=1)), within, gain)
    return found


def answer_spread(values: np.ndarray) -> AnswerSpread:
    """Of ``values``, shape (s, n), s seeds' answers to n questions.

    ``within`` is the mean square within questions, ``between`` (mean square between − within)/s, at least 0.
    """
    s = len(values)
    within = float(values.var(axis=0, ddof=1).mean())
    between = float(values.mean(axis=0).var(ddof=1)) - within / s
    return AnswerSpread(max(between, 0.0), within)
