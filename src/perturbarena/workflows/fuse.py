"""Prediction files of several predictors → one, with what each adds: read, line up, doubt, learn, answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from perturbarena.challenge.formats import read_predictions
from perturbarena.challenge.records import LabelledQuestions, Predictions, Questions
from perturbarena.errors import FormatError, InputError, PredictionError
from perturbarena.evaluation import ScoreResult, score_strict
from perturbarena.stats.auroc import auroc, weighted_auroc
from perturbarena.tracks import Fusion, FusionSettings, Part, cross_fit_fusion, head_scores, learn_fusion
from perturbarena.tracks.fusion import Progress

ROUNDING: Final = 1e-6
"""How far two probabilities may sum beyond 1, as in the published metric."""
TOO_GOOD: Final = 0.95
"""An AUROC above this is above what held-out screens of the same cells reach: the labels were seen."""
SURPRISE: Final = 0.10
"""By how much an AUROC on labelled rows may exceed what a part's own probabilities promise."""


@dataclass(frozen=True, slots=True)
class Fused:
    """Fused answers, what they rest on, and what is doubtful.

    Attributes
    ----------
    predictions
        To the questions, or, where there were none, to the labelled rows, cross-fitted.
    fusion
        Learned from all labelled rows.
    score
        Of cross-fitted answers; None where questions were answered.
    warnings
        Parts whose answers to labelled rows look as if the labels had been seen.
    """

    predictions: Predictions
    fusion: Fusion
    score: ScoreResult | None
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """What each part is worth to each head, in words."""
        return [described(part, head) for head, found in self.fusion.heads.items() for part in found.parts]

    def as_json(self) -> dict[str, Any]:
        """Plain values: parts by head, the score if there is one, warnings."""
        heads = {head: [_part_json(p) for p in found.parts] for head, found in self.fusion.heads.items()}
        score = None if self.score is None else self.score.as_json()
        return {"n": len(self.predictions), "heads": heads, "score": score, "warnings": list(self.warnings)}


def fuse(
    parts: Mapping[str, Predictions],
    rows: LabelledQuestions,
    questions: Questions | None = None,
    *,
    seed: int = 0,
    settings: FusionSettings | None = None,
    n_resamples: int = 2000,
    progress: Progress | None = None,
) -> Fused:
    """Fuse the parts' answers.

    Parameters
    ----------
    parts
        By name; each answers every labelled row, out of fold, and every question. Others are passed over.
    rows
        Labelled questions, from which weights are learned.
    questions
        What to answer; None: the labelled rows, each by weights from rows that share neither of its names.
    seed
        Of the folds and resamples.
    n_resamples
        Behind the intervals of the score.

    Raises
    ------
    InputError
        If a part lacks an id, a question is labelled, or the labelled rows are too few for the folds.
    PredictionError
        If a part's value is no probability.
    """
    if questions is not None:
        _none_labelled(questions, rows)
    names = list(parts)
    known = [_answers(parts[name], rows.id, name) for name in names]
    new = [None if questions is None else _answers(parts[name], questions.id, name) for name in names]
    warnings = [w for name, a, b in zip(names, known, new, strict=True) for w in doubts(name, rows, a, b)]
    fusion = learn_fusion(rows, known, names=names, rng=np.random.default_rng([seed, 0]), settings=settings)
    score = None
    if questions is None:
        rng = np.random.default_rng([seed, 1])
        answers = cross_fit_fusion(rows, known, names=names, rng=rng, settings=settings, progress=progress)
        score = score_strict(rows, answers, rng=np.random.default_rng(0), n_resamples=n_resamples)
    else:
        answers = fusion.answer([part for part in new if part is not None])
    return Fused(answers, fusion, score, tuple(warnings))


def read_parts(paths: Sequence[Path], ids: np.ndarray) -> dict[str, Predictions]:
    """Answers to these ids by part: a file's name without its endings, or its path where that is not unique.

    Raises
    ------
    InputError
        If a file is named twice or cannot be read as predictions, lacks an id or holds one twice, or a value is no
        probability; the message names the file.
    """
    short = [path.name.removesuffix(".gz").removesuffix(".csv") for path in paths]
    names = [name if short.count(name) == 1 else str(path) for name, path in zip(short, paths, strict=True)]
    parts: dict[str, Predictions] = {}
    for name, path in zip(names, paths, strict=True):
        if name in parts:
            raise FormatError(f"a part may be named once; {path} is named twice")
        parts[name] = _answers(read_predictions(path), ids, str(path))
    return parts


def doubts(name: str, rows: LabelledQuestions, known: Predictions, new: Predictions | None) -> list[str]:
    """Why a part's answers to labelled rows look as if it had seen the labels, one text a head; mostly none.

    An AUROC beyond ``TOO_GOOD`` is one reason. The other: were its probabilities right, they would give an
    AUROC by themselves, best told on new rows; a part that does better than it promises by more than
    ``SURPRISE`` has learned the labelled rows by heart, or its probabilities are far too modest.
    """
    found = []
    where = "labelled" if new is None else "new"
    for head, among, positive in (("DE", np.ones(len(rows), bool), rows.is_de), ("DIR", rows.is_de, rows.is_up)):
        value = auroc(positive[among], head_scores(known, head)[among])
        promised = _promised(head_scores(known if new is None else new, head))
        text = f"{name}: {head} on labelled ids looks in-sample, not out of fold: AUROC {value:.3f}"
        if value > TOO_GOOD:
            found.append(text)
        elif value - promised > SURPRISE:
            found.append(f"{text}, where its probabilities on {where} ids promise {promised:.3f}")
    return found


def described(part: Part, head: str) -> str:
    """Such as ``gpt-oss: no weight in DIR: adds −0.001 (−0.004–0.002)``."""
    weight = f"weight {part.coefficient:.2f}" if part.coefficient > 0 else "no weight"
    adds = part.adds
    bounds = "" if adds.interval is None else f" ({_signed(adds.interval.low)}–{_signed(adds.interval.high)})"
    return f"{part.name}: {weight} in {head}: adds {_signed(adds.difference)}{bounds}"


def _answers(part: Predictions, ids: np.ndarray, name: str) -> Predictions:
    """The part's answers to these ids, in their order."""
    position = {id_: i for i, id_ in enumerate(part.id)}
    if len(position) < len(part):
        twice = next(id_ for i, id_ in enumerate(part.id) if position[id_] != i)
        raise PredictionError(f"{name}: an id may stand once; {twice} stands again")
    missing = [id_ for id_ in ids if id_ not in position]
    if missing:
        raise InputError(f"{name} must answer all {len(ids)} ids; it lacks {len(missing)}, e.g. {missing[0]}")
    found = part.take(np.array([position[id_] for id_ in ids], int))
    wrong = ~((found.p_up >= 0) & (found.p_down >= 0) & (found.p_up + found.p_down <= 1 + ROUNDING))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise PredictionError(
            f"{name}: predictions must be at least 0 and sum to 1 at most; "
            f"got {found.p_up[i]:g} and {found.p_down[i]:g} (row {found.id[i]})"
        )
    return found


def _none_labelled(questions: Questions, rows: LabelledQuestions) -> None:
    known = set(rows.id)
    both = [id_ for id_ in questions.id if id_ in known]
    if both:
        raise InputError(
            f"questions must not be labelled; {len(both)} are, e.g. {both[0]}. Labelled rows are answered, "
            "cross-fitted, where no questions are given"
        )


def _promised(p: np.ndarray) -> float:
    """The AUROC of p, if each row is positive with probability p."""
    both = np.arange(2 * len(p)) < len(p)
    weight = np.concatenate([p, 1 - p]).clip(0.0)
    return weighted_auroc(both, np.concatenate([p, p]), weight)


def _part_json(part: Part) -> dict[str, Any]:
    adds = part.adds
    return {
        "part": part.name,
        "coefficient": part.coefficient,
        "alone": part.alone,
        "adds": adds.difference,
        "interval": None if adds.interval is None else list(adds.interval),
    }


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")  # + 0.0: no −0.000
