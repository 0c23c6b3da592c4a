"""Oracles, parts of the hidden rows, and what a set's maker recorded."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.benchmark.question_cases import biregular, coin

from perturbarena.benchmark import Audit, QuestionSet, Verdict, audit_questions, read_question_set
from perturbarena.benchmark.oracles import oracles
from perturbarena.benchmark.recorded import recorded_noise
from perturbarena.challenge.formats import write_labelled, write_questions, write_table
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.stats.auroc import auroc


def _audit(questions: QuestionSet) -> Audit:
    return audit_questions(questions, rng=np.random.default_rng(1), n_resamples=50)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=2, max_size=20))
def test_no_order_of_genes_beats_the_oracle(drawn: list[tuple[int, bool]]):
    gene = np.array([g for g, _ in drawn])
    moved = np.array([m for _, m in drawn])
    questions = Questions.from_pairs([f"p{i}" for i in range(len(gene))], [f"g{g}" for g in gene])
    rows = LabelledQuestions(questions, np.where(moved, "up", "none").astype(object))
    oracle = oracles(rows, of="train", rng=np.random.default_rng(0))[0]
    best = max(auroc(moved, np.array(order, float)[gene]) for order in permutations(range(4)))
    assert (oracle.oracle, oracle.target) == ("gene", "DE")
    if moved.all() or not moved.any():
        assert np.isnan(oracle.auroc)
        assert oracle.as_json()["auroc"] is None
    else:
        assert oracle.auroc >= best - 1e-12


def test_the_oracle_of_matched_and_of_free_labels():
    rng = np.random.default_rng(0)
    questions = biregular(rng)
    of_gene = np.argsort(np.argsort(questions.gene.astype(str), kind="stable"))
    matched = LabelledQuestions(questions, np.where(of_gene % 2, "up", "none").astype(object))
    gene = oracles(matched, of="train", rng=rng)[0]
    assert gene.auroc == 0.5
    assert gene.dealt > 0.6
    free = oracles(coin(rng, questions), of="train", rng=rng)[0]
    assert free.auroc == pytest.approx(free.dealt, abs=0.04)


def test_parts_are_attacked_separately_and_together(tmp_path: Path):
    rng = np.random.default_rng(0)
    train, hidden = (coin(rng, biregular(rng, mark=mark)) for mark in "ab")
    part = np.where(np.arange(len(hidden)) % 3 == 0, "Public", "Private")
    label = hidden.label.copy()  # only the private part is sorted by its answers
    private = part == "Private"
    label[private] = label[private][np.argsort(hidden.is_de[private], kind="stable")]
    hidden = LabelledQuestions(hidden.questions, label)
    write_labelled(tmp_path / "train.csv", train)
    write_questions(tmp_path / "test.csv", hidden.questions)
    table = pd.DataFrame({"id": hidden.id, "label": hidden.label, "Usage": part})
    write_table(tmp_path / "solution.csv", table.sample(frac=1, random_state=0))
    found = _audit(read_question_set(tmp_path, truth=tmp_path))
    assert found == _audit(QuestionSet.of(train, hidden, part=part))
    order = {f.rows: f for f in found.findings if (f.attack, f.target) == ("row order", "DE")}
    assert list(order) == ["train", "hidden", "hidden (Private)", "hidden (Public)"]
    assert {rows for rows, f in order.items() if f.verdict is Verdict.leak} == {"hidden", "hidden (Private)"}
    assert order["hidden (Private)"].n + order["hidden (Public)"].n == order["hidden"].n == len(hidden)
    assert {o.rows for o in found.oracles} == {"train", "hidden"}


def test_parts_without_training_rows_or_of_another_length():
    rng = np.random.default_rng(0)
    hidden = coin(rng, biregular(rng))
    part = np.where(rng.random(len(hidden)) < 0.5, "Public", "Private")
    found = _audit(QuestionSet.of(None, hidden, part=part))
    assert {f.attack for f in found.findings if "leave" in f.attack and f.rows != "hidden"} == set()
    assert {f.rows for f in found.findings} == {"hidden", "hidden (Private)", "hidden (Public)"}
    one = _audit(QuestionSet.of(None, hidden, part=np.full(len(hidden), "Public")))
    assert {f.rows for f in one.findings} == {"hidden"}
    with pytest.raises(InputError, match="one part; got 3 parts and 1500 rows"):
        _audit(QuestionSet.of(None, hidden, part=part[:3]))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"label_noise": {"sentence": "halves agree on 83 %"}}, ["halves agree on 83 %"]),
        ({"label_noise": {"DE": {"sentence": "83 %"}, "DIR": {"agreed": 0.97}}}, ["DE: 83 %", "DIR: agreed 0.97"]),
        ({"label_noise": [{"target": "DE", "agreed": 0.83}, "x"]}, ["DE: target DE, agreed 0.83", "x"]),
        ({"label_noise": {"de_agreement": 0.83333, "n": 5, "why": None}}, ["de agreement 0.833, n 5"]),
        ({"ceilings": 0.91, "label_noise": "not measured"}, ["not measured", "0.91"]),
        ({"ceilings": None, "label_noise": {}, "other": 1}, []),
        ([1, 2], []),
    ],
)  # fmt: skip
def test_recorded_noise_is_repeated_whatever_its_form(record: object, said: list[str], tmp_path: Path):
    (tmp_path / "benchmark.json").write_text(json.dumps(record))
    found = recorded_noise(tmp_path / "benchmark.json")
    assert [check.sentence for check in found] == said
    assert all((check.count, check.verdict) == (None, Verdict.cannot_tell) for check in found)


def test_a_folder_with_a_record(tmp_path: Path):
    rng = np.random.default_rng(0)
    write_labelled(tmp_path / "train.csv", coin(rng, biregular(rng)))
    assert recorded_noise(tmp_path / "benchmark.json") == ()
    (tmp_path / "benchmark.json").write_text('{"label_noise": "halves agree"}')
    last = _audit(read_question_set(tmp_path)).as_json()["checks"][-1]
    assert last == {
        "check": "recorded label noise",
        "count": None,
        "examples": [],
        "verdict": "cannot tell",
        "sentence": "halves agree",
    }
    (tmp_path / "benchmark.json").write_text("{")
    assert "cannot be read" in read_question_set(tmp_path).recorded[0].sentence
