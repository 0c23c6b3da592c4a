"""What is derived from a rules file: the documentation does not drift, samples have the published columns."""

from __future__ import annotations

from pathlib import Path

import pytest

from perturbarena.challenge.describe import markdown, sample_table, schema_markdown
from perturbarena.challenge.formats import read_questions, read_table
from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import load_challenge

DOCS = Path(__file__).parents[2] / "docs" / "challenges.md"


def test_the_documentation_holds_the_tables_of_the_schema() -> None:
    text = DOCS.read_text()
    for derived in (markdown(load_challenge("bioreasoning-2026")), schema_markdown()):
        assert derived in text, (
            "docs/challenges.md has drifted: paste `perturbarena challenge show --markdown` / `keys`"
        )


def test_every_number_and_name_of_a_track_stands_in_its_documentation() -> None:
    text = markdown(load_challenge("bioreasoning-2026"))
    for needed in (
        "16,384",
        "4,096",
        "250",
        "10,000,000,000",
        "num_distinct_tools",
        "openai/gpt-oss-120b",
        "42, 43, 44",
    ):
        assert needed in text


@pytest.mark.parametrize("track", ["A", "B", "C"])
def test_samples_have_the_published_columns_and_ids(track: str, shared: Path) -> None:
    folder = shared / "data" / "bioreasoning"
    challenge = load_challenge("bioreasoning-2026")
    published = read_table(folder / f"sample_submission_track_{track.lower()}.csv")
    ours = sample_table(challenge, challenge.track(track), read_questions(folder / "test.csv"))
    assert set(ours.columns) == set(published.columns)
    assert list(ours["id"]) == list(published["id"])


def test_an_unanswered_row() -> None:
    challenge = load_challenge("bioreasoning-2026")
    row = sample_table(challenge, challenge.track("C"), Questions.from_pairs(["P"], ["G"])).iloc[0].to_dict()
    assert row == {
        "id": "P_G",
        "prediction_up": 1 / 3,
        "prediction_down": 1 / 3,
        "reasoning_trace": "none",
        "tokens_used": 0,
        "model_name": "none",
    }
