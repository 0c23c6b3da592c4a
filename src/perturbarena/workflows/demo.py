"""The demo: a simulated screen → effects, nulls, fair questions, audit → answers → scores → a checked submission.

It needs no data and no network, and every step goes the way that real data go.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from perturbarena import __version__
from perturbarena.benchmark.folders import read_solution
from perturbarena.challenge.formats import read_labelled, read_questions, write_json, write_predictions
from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.evaluation import ScoreResult, score_strict
from perturbarena.knowledge import load_features
from perturbarena.screen import (
    SimulatedScreen,
    SimulationSettings,
    simulate_screen,
    write_effect_table,
    write_simulation,
)
from perturbarena.submission import Report, check_submission, pack
from perturbarena.workflows.build import BuildPlan, Watch, build_benchmark, load_settings
from perturbarena.workflows.figures import score_figure
from perturbarena.workflows.predict import answer_transfer
from perturbarena.workflows.report_run import ReportInputs, report_runs

TRACK: Final = "open"
N_RESAMPLES: Final = 2000
N_NULLS: Final = 100
SCREEN: Final = SimulationSettings(
    perturbations=200,
    genes=1500,
    cells_per_perturbation=50,
    control_cells=2000,
    control_guides=30,
    modules=8,
    module_share=0.7,
)
"""Small enough for a minute or two, large enough that the answers can be told from guesses."""

Tell = Callable[[str], None]
"""Told in a sentence what has just been done."""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demo made: files and folders by purpose, the scores, and the check of the submission."""

    files: dict[str, Path]
    score: ScoreResult
    report: Report
    record: dict[str, Any]


def run_demo(
    folder: Path, *, seed: int = 0, tell: Tell = lambda _: None, watch: Watch | None = None
) -> DemoResult:
    """Run every step into ``folder`` (made if needed; files of an earlier demo are replaced)."""
    names = {
        "screen": "screen.h5ad", "controls": "controls.h5ad", "benchmark": "bench", "truth": "truth",
        "rules": "demo.toml", "predictions": "predictions.csv", "score": "score.json",
        "submission": "submission.zip", "figure": "scores.svg", "picture": "scores.png",
        "report": "report.html",
    }  # fmt: skip
    files = {purpose: folder / name for purpose, name in names.items()}
    _clear(files)

    _simulate(files, np.random.default_rng(seed))
    tell(
        f"{SCREEN.perturbations} knockouts of {SCREEN.cells_per_perturbation} cells simulated, "
        f"{SCREEN.genes:,} genes"
    )

    record = build_benchmark(
        BuildPlan(
            source=files["screen"], bench=files["benchmark"], truth=files["truth"], seed=seed,
            settings=load_settings("fair", nulls=N_NULLS),
        ),
        watch=watch,
    ).record  # fmt: skip
    tell("questions drawn that do not give their answers away, audited, with a card: bench/README.md")

    train = read_labelled(files["benchmark"] / "train.csv")
    questions = read_questions(files["benchmark"] / "test.csv")
    features = load_features(coexpression=files["controls"]).blocks
    answered = answer_transfer(train, questions, features, seed=seed)
    write_predictions(files["predictions"], answered.answers.predictions)
    tell("hidden questions answered from the co-expression of the screen's own control cells")

    truth = read_solution(files["truth"] / "solution.csv", questions).rows
    result = score_strict(
        truth, answered.answers.predictions, rng=np.random.default_rng(seed), n_resamples=N_RESAMPLES
    )
    write_json(files["score"], result.as_json() | {"seed": seed, "perturbarena": __version__})
    tell(f"scored, with intervals from {N_RESAMPLES:,} resamples each way")

    report = _pack(files, questions)
    tell(f"submission packed and checked: {'well-formed' if report.ok else 'not well-formed'}")

    for purpose in ("figure", "picture"):
        score_figure(
            files[purpose], truth=truth, predictions=answered.answers.predictions, result=result,
            rng=np.random.default_rng(seed), title="Transfer predictor on hidden questions of a simulated screen",
        )  # fmt: skip
    tell("figure drawn")

    report_runs(
        [files["predictions"]],
        files["report"],
        ReportInputs(
            truth=files["truth"] / "solution.csv", questions=files["benchmark"] / "test.csv",
            benchmark=files["benchmark"], resamples=N_RESAMPLES, seed=seed,
            title="Transfer predictor, simulated screen",
        ),
    )  # fmt: skip
    tell("report page written: report.html")
    return DemoResult(files, result, report, record)


def _clear(files: dict[str, Path]) -> None:
    """Remove what an earlier demo made, as a build refuses folders that hold something else."""
    for path in files.values():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _simulate(files: dict[str, Path], rng: np.random.Generator) -> SimulatedScreen:
    """The screen, its truth, and its control cells apart, which are all that the predictor sees of it."""
    screen = simulate_screen(rng, SCREEN)
    files["screen"].parent.mkdir(parents=True, exist_ok=True)
    write_simulation(files["screen"], screen)
    cells = screen.to_anndata()
    write_effect_table(files["controls"], cells[screen.perturbation == "control"].copy())
    return screen


def _pack(files: dict[str, Path], questions: Questions) -> Report:
    with resources.as_file(resources.files("perturbarena.workflows") / "demo.toml") as rules:
        shutil.copyfile(rules, files["rules"])
    challenge = load_challenge(str(files["rules"]))
    pack(files["predictions"], files["submission"], challenge=challenge, track=TRACK)
    return check_submission(files["submission"], challenge=challenge, track=TRACK, questions=questions)
