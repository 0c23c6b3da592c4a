"""The Hugging Face card and the Kaggle data page: what they state, and that odd titles cannot break them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.benchmark.exporters import data_description, dataset_card, solution_warnings
from perturbarena.benchmark.folders import QuestionFolder, Solution
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.challenge.rules import load_challenge

TRAIN = LabelledQuestions(Questions.from_pairs(["A", "A"], ["X", "NA"]), np.array(["up", "none"], object))
HIDDEN = Questions.from_pairs(["B", "B", "B"], ["X", "Y", "Z"])


def folder(card: str = "", **record: str) -> QuestionFolder:
    return QuestionFolder(Path("bench"), TRAIN, HIDDEN, {"about": record}, card)


def head_of(card: str) -> dict:
    _, front, _ = card.split("---\n", 2)
    return yaml.safe_load(front)


def test_the_head_of_a_card():
    head = head_of(dataset_card(folder(title="Mine", licence="CC-BY-4.0", citation="Doe 2030")))
    assert (head["pretty_name"], head["license"]) == ("Mine", "cc-by-4.0")
    assert head["task_categories"] == ["tabular-classification"]
    assert head["size_categories"] == ["n<1K"]
    columns = {i["config_name"]: [f["name"] for f in i["features"]] for i in head["dataset_info"]}
    assert columns == {"labelled": ["id", "pert", "gene", "label"], "hidden": ["id", "pert", "gene"]}
    assert [c["config_name"] for c in head["configs"] if c.get("default")] == ["labelled"]


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ("", {"license": "unknown"}),
        ("none stated", {"license": "unknown"}),
        ("Genentech NC 1.0 (only)", {"license": "other", "license_name": "genentech-nc-1.0-only"}),
    ],
)
def test_licences(stated, expected):
    head = head_of(dataset_card(folder(licence=stated)))
    assert {k: v for k, v in head.items() if k.startswith("license")} == expected


@given(st.text(max_size=30))
def test_any_title_gives_a_readable_head(title):
    head = head_of(dataset_card(folder(title=title)))
    printable = "".join(c if c.isprintable() else " " for c in title).split()
    assert head["pretty_name"].split() == (printable or ["bench"])


def test_the_sets_own_card_follows_without_its_head():
    card = dataset_card(folder("---\nlicense: mit\n---\n# Own\n\nCite Doe 2030.\n", citation="Doe 2030"))
    assert card.count("---\n") == 2
    assert "# Own" in card
    assert "license: mit" not in card
    assert "## Citation" not in card


def test_the_data_page():
    challenge = load_challenge("bioreasoning-2026")
    text = data_description(folder(licence="MIT", citation="Doe 2030"), challenge, samples={"C": "sample_c.csv"})
    assert "| `test.csv` | 3 (1 perturbation, 3 genes) |" in text
    assert "1 `up`, 0 `down`, 1 `none`" in text
    assert "Shared by training and test rows: 0 perturbations, 1 target gene" in text
    assert "NA is a gene's name" in text
    assert "species: mouse; cell: bone marrow" in text
    assert "## Track C" in text
    assert "## Track A" not in text
    assert text.rstrip().endswith("Doe 2030")


def test_the_data_page_prefers_what_the_set_states_of_its_cells():
    challenge = load_challenge("bioreasoning-2026")
    text = data_description(folder(species="human", cell="K562"), challenge, samples={})
    assert "species: human; cell: K562\n" in text
    assert "mouse" not in text


def test_warnings_about_a_solution():
    rows = LabelledQuestions(HIDDEN, np.array(["up", "down", "none"], object))
    assert solution_warnings(Solution(rows, np.array(["Private"] * 3, object))) == (
        "no hidden row has the Usage Public: the public leaderboard would have nothing to score",
    )
    found = solution_warnings(Solution(rows, np.array(["Private", "Private", "Public"], object)))
    assert [text.partition(":")[0] for text in found] == ["no Public row is up or down", "no Private row is none"]
    named = LabelledQuestions(Questions(np.array(["NA", "b", "c"], object), HIDDEN.pert, HIDDEN.gene), rows.label)
    found = solution_warnings(Solution(named, np.array(["Public"] * 3)))
    assert "the id NA is read as a missing value" in found[-1]
