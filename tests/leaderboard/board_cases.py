"""Small challenges and submissions for the board's tests: made from simulated questions, quickly."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd

from perturbarena.benchmark.simulate import simulate_questions
from perturbarena.challenge.formats import write_predictions, write_questions, write_table
from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.leaderboard import (
    ChallengePlan,
    Identity,
    Incoming,
    Receipt,
    Store,
    create_challenge,
    create_team,
    create_token,
    identify,
    receive,
)

START = datetime(2030, 1, 10, 9, 0, tzinfo=UTC)
"""When tests begin, by the store's clock."""
TRACK = "open"


class Clock:
    """A clock that tests move by hand."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


def truth(n: int = 120, *, seed: int = 1) -> LabelledQuestions:
    """Labelled questions with both classes in both parts."""
    rng = np.random.default_rng(seed)
    return simulate_questions(rng, n_perts=12, n_genes=30, n_questions=n, n_modules=4).questions


def solution_table(labelled: LabelledQuestions) -> pd.DataFrame:
    """``id,label,Usage``: every other row is public."""
    usage = np.where(np.arange(len(labelled)) % 2 == 0, "Public", "Private")
    return pd.DataFrame({"id": labelled.id, "label": labelled.label, "Usage": usage})


def plan(folder: Path, *, n: int = 120, **changes) -> ChallengePlan:
    """A challenge that ends in three days, with the demo's one open track."""
    folder.mkdir(parents=True, exist_ok=True)
    labelled = truth(n)
    write_questions(folder / "questions.csv", labelled.questions)
    write_table(folder / "solution.csv", solution_table(labelled))
    rules = resources.files("perturbarena.workflows").joinpath("demo.toml").read_text(encoding="utf-8")
    made = ChallengePlan(
        rules=rules,
        questions=folder / "questions.csv",
        truth=folder / "solution.csv",
        deadline=START + timedelta(days=3),
        n_resamples=50,
    )
    return replace(made, **changes)


def new_store(folder: Path, *, url: str | None = None, clock: Clock | None = None, **changes) -> Store:
    """An opened challenge below ``folder``."""
    return create_challenge(
        folder / "challenge", plan(folder / "source", **changes), url=url, clock=clock or Clock()
    )


def entrant(store: Store, name: str) -> Identity:
    """A new team's bearer of a token."""
    create_team(store, name)
    secret = create_token(store, team=name, scopes=("read", "submit")).secret
    found = identify(store, secret)
    assert found is not None
    return found


def answers(*, skill: float = 1.0, seed: int = 0, n: int = 120) -> Predictions:
    """Answers to :func:`truth`: the truth in noise; ``skill`` 0 is noise alone."""
    labelled = truth(n)
    rng = np.random.default_rng(seed)
    up = skill * (labelled.label == "up") + rng.normal(size=n)
    down = skill * (labelled.label == "down") + rng.normal(size=n)
    odds = np.exp(np.stack([up, down, np.zeros(n)]))
    p_up, p_down, _ = odds / odds.sum(axis=0)
    return Predictions(labelled.id, np.round(p_up, 6), np.round(p_down, 6))


def bundle(predictions: Predictions, folder: Path, *, mark: str = "") -> bytes:
    """A zip for the open track; ``mark`` makes its bytes another's without changing what they say."""
    table = folder / "answers.csv"
    write_predictions(table, predictions)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("predictions.csv"), table.read_bytes())
        archive.comment = mark.encode()
    return content.getvalue()


def hand_in(store: Store, by: Identity, content: bytes, *, track: str = TRACK) -> Receipt:
    """Upload and receive."""
    with Incoming(store) as incoming:
        incoming.write(content)
        return receive(store, incoming, by=by, track=track)
