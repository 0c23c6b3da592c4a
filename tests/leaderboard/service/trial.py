"""A small challenge of simulated questions for the tests of the web service, and zips to hand in."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.describe import sample_table
from perturbarena.challenge.records import DOWN, UP, LabelledQuestions
from perturbarena.leaderboard import ChallengePlan, Store, Worker, create_challenge, create_team, create_token

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
RULES = resources.files("perturbarena.challenge").joinpath("bioreasoning-2026.toml").read_text(encoding="utf-8")


class Clock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def pass_time(self, **how_long: float) -> None:
        self.at += timedelta(**how_long)


@dataclass
class Trial:
    """An opened challenge whose answers are known."""

    store: Store
    clock: Clock
    truth: LabelledQuestions

    def team(self, name: str, *, scopes: tuple[str, ...] = ("read", "submit")) -> str:
        """A new team's token."""
        create_team(self.store, name)
        return create_token(self.store, team=name, scopes=scopes, label="laptop").secret

    def staff(self, *scopes: str) -> str:
        """A token without a team."""
        return create_token(self.store, team=None, scopes=scopes, label="panel").secret

    def work(self) -> int:
        """Check, score and audit whatever waits."""
        return Worker(self.store).drain()

    def zip(
        self, *, skill: float = 0.5, seed: int = 0, track: str = "C", break_rows: int = 0, **cells: str
    ) -> bytes:
        """A submission of track C (or A) that knows the answer of a share of the rows."""
        return make_zip(
            self.store, self.truth, skill=skill, seed=seed, track=track, break_rows=break_rows, **cells
        )


def make_zip(
    store: Store,
    truth: LabelledQuestions,
    *,
    skill: float,
    seed: int,
    track: str = "C",
    break_rows: int = 0,
    **cells: str,
) -> bytes:
    """See :meth:`Trial.zip`; ``cells`` overwrite whole columns."""
    rng = np.random.default_rng(seed)
    rules = store.rules.track(track)
    table = sample_table(store.rules, rules, truth.questions)
    knows = rng.random(len(table)) < skill
    up = np.where(knows, np.where(truth.label == UP, 0.7, 0.1), rng.uniform(0.05, 0.45, len(table)))
    down = np.where(knows, np.where(truth.label == DOWN, 0.25, 0.05), rng.uniform(0.05, 0.45, len(table)))
    for column in table.columns:
        if column.startswith("prediction_up"):
            table[column] = np.round(up, 4)
        elif column.startswith("prediction_down"):
            table[column] = np.round(down, 4)
        elif "trace" in column:
            table[column] = [f"The wiring says so ({seed}, {i})." for i in range(len(table))]
        elif "tokens" in column:
            table[column] = rng.integers(50, 500, len(table))
        elif column == "model_name":
            table[column] = "Qwen/Qwen3-4B-Thinking-2507"
    for name, value in cells.items():
        table[name] = value
    if break_rows:
        table["prediction_up"] = table["prediction_up"].astype(object)
        table.loc[: break_rows - 1, "prediction_up"] = "1.7"
    return pack(table)


def pack(table: pd.DataFrame) -> bytes:
    """A zip of a table and a prompt; the same table gives the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in {
            "submission.csv": table.to_csv(index=False),
            "prompt.txt": "Two probabilities.\n",
        }.items():
            entry = zipfile.ZipInfo(name)  # its time is 1980
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def make_trial(folder: Path, *, n_questions: int = 240, url: str | None = None, **options) -> Trial:
    """A challenge of 240 questions over 40 knockouts and 60 genes, half of it public."""
    clock = Clock()
    truth = simulate_questions(np.random.default_rng(3), n_perts=40, n_genes=60, n_questions=n_questions).questions
    asked = truth.questions
    sources = folder / "sources"
    sources.mkdir(parents=True)
    pd.DataFrame({"id": asked.id, "pert": asked.pert, "gene": asked.gene}).to_csv(
        sources / "test.csv", index=False
    )
    half = np.unique(asked.pert)[::2]
    usage = np.where(np.isin(asked.pert, half), "Public", "Private")
    pd.DataFrame({"id": asked.id, "label": truth.label, "Usage": usage}).to_csv(
        sources / "solution.csv", index=False
    )
    plan = ChallengePlan(
        rules=RULES, questions=sources / "test.csv", truth=sources / "solution.csv",
        deadline=START + timedelta(days=10), timezone="Europe/Zurich", title="A trial challenge", n_resamples=50,
        **options,
    )  # fmt: skip
    store = create_challenge(folder / "challenge", plan, url=url, clock=clock)
    return Trial(store, clock, truth)
