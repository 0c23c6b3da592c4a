"""The demo: simulated questions → answers out of fold → scores → a checked submission and a figure.

It needs no data and no network, and every step goes the way that real data go.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from perturbarena import __version__
from perturbarena.benchmark import SimulatedQuestions, simulate_questions
from perturbarena.challenge.formats import (
    write_json,
    write_labelled,
    write_predictions,
    write_questions,
    write_table,
)
from perturbarena.challenge.rules import load_challenge
from perturbarena.evaluation import ScoreResult, score_strict
from perturbarena.knowledge import GeneFeatures
from perturbarena.submission import Report, check_submission, pack
from perturbarena.workflows.crossval import cross_validate_transfer
from perturbarena.workflows.figures import score_figure

TRACK: Final = "open"
N_FOLDS: Final = 5
N_RESAMPLES: Final = 2000

Tell = Callable[[str], None]
"""Told in a sentence what has just been done."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo made: the folder's files by purpose, the scores, and the check of the submission."""

    files: dict[str, Path]
    score: ScoreResult
    report: Report


def run_demo(folder: Path, *, seed: int = 0, tell: Tell = lambda _: None) -> DemoResult:
    """Run every step into ``folder`` (made if needed; files of an earlier demo are replaced)."""
    rng = np.random.default_rng(seed)
    names = {
        "rules": "demo.toml", "train": "train.csv", "questions": "questions.csv", "features": "features.csv",
        "predictions": "predictions.csv", "score": "score.json", "submission": "submission.zip",
        "figure": "scores.svg", "picture": "scores.png",
    }  # fmt: skip
    files = {purpose: folder / name for purpose, name in names.items()}

    simulated = simulate_questions(rng)
    rows = simulated.questions
    _write_questions(files, simulated)
    tell(f"{len(rows):,} questions on {len(set(rows.pert))} knockouts and {len(set(rows.gene))} genes simulated")

    features = GeneFeatures("simulated", simulated.feature_genes, simulated.features, "simulated modules")
    answers = cross_validate_transfer(rows, [features], n_folds=N_FOLDS, seed=seed)
    write_predictions(files["predictions"], answers.predictions)
    tell(f"every question answered by one of {answers.n_fits} models that saw neither its knockout nor its gene")

    result = score_strict(rows, answers.predictions, rng=rng, n_resamples=N_RESAMPLES)
    write_json(files["score"], result.as_json() | {"seed": seed, "perturbarena": __version__})
    tell(f"scored, with intervals from {N_RESAMPLES:,} resamples each way")

    challenge = load_challenge(str(files["rules"]))
    pack(files["predictions"], files["submission"], challenge=challenge, track=TRACK)
    report = check_submission(files["submission"], challenge=challenge, track=TRACK, questions=rows.questions)
    tell(f"submission packed and checked: {'well-formed' if report.ok else 'not well-formed'}")

    for purpose in ("figure", "picture"):
        score_figure(
            files[purpose], truth=rows, predictions=answers.predictions, result=result,
            rng=np.random.default_rng(seed), title="Transfer predictor on simulated knockouts, out of fold",
        )  # fmt: skip
    tell("figure drawn")
    return DemoResult(files, result, report)


def _write_questions(files: dict[str, Path], simulated: SimulatedQuestions) -> None:
    files["rules"].parent.mkdir(parents=True, exist_ok=True)
    with resources.as_file(resources.files("perturbarena.workflows") / "demo.toml") as rules:
        shutil.copyfile(rules, files["rules"])
    write_labelled(files["train"], simulated.questions)
    write_questions(files["questions"], simulated.questions.questions)
    columns = {f"f{k:02d}": simulated.features[:, k] for k in range(simulated.features.shape[1])}
    write_table(files["features"], pd.DataFrame({"gene": simulated.feature_genes, **columns}))
