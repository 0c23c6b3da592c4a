"""Planted leaks of each kind are found, and a set without any is not accused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from perturbarena.benchmark import (
    Audit,
    LabelledFile,
    QuestionSet,
    Verdict,
    audit_questions,
    read_question_set,
    simulate_questions,
)
from perturbarena.challenge.formats import write_labelled, write_questions, write_table
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import FormatError, InputError

FAST = 200
COUNTING = ("gene rows", "singletons", "proportional fitting", "gene leave-one-out", "trained on structure")


def _rows(seed: int = 0, n: int = 1500) -> LabelledQuestions:
    return simulate_questions(np.random.default_rng(seed), n_perts=60, n_genes=150, n_questions=n).questions


def _audit(rows: LabelledQuestions, ids: np.ndarray | None = None, **others: object) -> Audit:
    file = LabelledFile(rows, rows.id if ids is None else ids)
    questions = QuestionSet(**({"train": file, "hidden": None, "truth": None} | others))
    return audit_questions(questions, rng=np.random.default_rng(1), n_resamples=FAST)


def _verdicts(found: Audit, target: str = "DE") -> dict[str, Verdict]:
    return {f.attack: f.verdict for f in found.findings if f.target == target}


def _counts(found: Audit) -> dict[str, int]:
    return {check.check: check.count for check in found.checks}


@pytest.mark.parametrize("seed", range(4))
def test_a_random_set_is_not_accused(seed: int):
    rows = _rows(seed)
    found = _audit(rows)
    assert found.leaks == 0
    assert {f.target for f in found.findings} == {"DE", "DIR"}
    assert all(f.adjusted.low <= f.interval.low for f in found.findings if f.interval and f.adjusted)


def test_matched_negatives():
    """Every gene has one moved and one unmoved row, or is asked once and does not move."""
    rng = np.random.default_rng(3)
    gene = np.r_[np.repeat(np.arange(300), 2), np.arange(300, 500)]
    moved = np.r_[np.tile([True, False], 300), np.zeros(200, bool)]
    label = np.where(moved, np.where(rng.random(800) < 0.5, "up", "down"), "none")
    order = rng.permutation(800)
    names = [f"g{g}" for g in gene[order]]
    rows = LabelledQuestions(
        Questions.from_pairs([f"p{p}" for p in rng.integers(40, size=800)], names), label[order].astype(object)
    )
    found = _verdicts(_audit(rows))
    for attack in (
        "gene rows",
        "singletons",
        "proportional fitting",
        "gene leave-one-out",
        "trained on structure",
    ):
        assert found[attack] is Verdict.leak, attack
    assert found["row order"] is not Verdict.leak


def test_direction_by_row_counts():
    rows = _rows(n=3000)
    graph = pd.Series(rows.gene).groupby(rows.gene).transform("size").to_numpy()
    many = graph > np.median(graph)
    label = np.where(rows.is_de, np.where(many, "up", "down"), "none").astype(object)
    found = _audit(LabelledQuestions(rows.questions, label))
    assert _verdicts(found, "DIR")["gene rows"] is Verdict.leak
    assert _verdicts(found, "DIR")["trained on structure"] is Verdict.leak
    assert _verdicts(found, "DE")["gene rows"] is not Verdict.leak


def test_components():
    rows = _rows()
    apart = np.random.default_rng(0).random(len(rows)) < 0.6
    label = np.where(apart, "up", "none").astype(object)
    side = np.where(apart, "a", "b")
    questions = Questions.from_pairs(rows.pert + side, rows.gene + side)
    finding = next(f for f in _audit(LabelledQuestions(questions, label)).findings if "components" in f.attack)
    assert (finding.auroc, finding.verdict) == (1.0, Verdict.leak)
    assert finding.interval is not None
    assert 0.5 < finding.interval.low < finding.interval.high == 1.0


def test_perturbations_sorted_by_their_answers():
    rows = _rows()
    order = np.argsort(rows.is_de, kind="stable")
    found = _verdicts(_audit(rows.take(order)))
    assert found["row order"] is found["row above"] is Verdict.leak


def test_ids():
    rows = _rows()
    number = np.where(rows.is_de, 7000, 2000) + np.random.default_rng(0).integers(4000, size=len(rows))
    coded = [f"{n:05d}" for n in number]
    for form in ("q{1}:{0}", "{0}-{1}", "{1}"):
        ids = np.array([form.format(i, n) for i, n in zip(rows.id, coded, strict=True)], object)
        assert _verdicts(_audit(rows, ids))["id number"] is Verdict.leak, form
    padded = np.array([i + "x" * bool(m) for i, m in zip(rows.id, rows.is_de, strict=True)], object)
    assert _verdicts(_audit(rows, padded))["id length"] is Verdict.leak
    assert "id length" not in _verdicts(_audit(rows))


def test_repeats(tmp_path: Path):
    rows = _rows(n=300)
    table = pd.DataFrame({"id": rows.id, "pert": rows.pert, "gene": rows.gene, "label": rows.label})
    extra = table.iloc[[0, 1, 2]].copy()
    extra.iloc[0, 3] = "up" if rows.label[0] != "up" else "none"
    extra.iloc[2, [0, 2]] = ["self", rows.pert[2]]
    write_table(tmp_path / "set.csv", pd.concat([table, extra]))
    questions = read_question_set(tmp_path / "set.csv")
    found = audit_questions(questions, rng=np.random.default_rng(0), n_resamples=FAST)
    assert _counts(found) == {
        "train: duplicated questions": 2,
        "train: contradictory questions": 1,
        "train: repeated ids": 2,
        "train: self-pairs": 1,
    }
    assert found.leaks >= 4


def test_overlaps():
    rows = _rows()
    hidden = Questions.from_pairs([rows.pert[0], rows.gene[1], "new"], [rows.gene[0], "other", rows.pert[5]])
    found = _audit(rows, hidden=hidden)
    counts = _counts(found)
    assert counts["shared questions"] == counts["shared perturbations"] == counts["shared genes"] == 1
    assert counts["hidden perturbations that are training targets"] == 1
    assert counts["training perturbations that are hidden targets"] == 1
    # genes differ in how often they move, which is worth something only where a hidden row has such a gene
    assert _verdicts(found)["gene leave-one-out"] is Verdict.leak
    assert _verdicts(_audit(rows))["gene leave-one-out"] is Verdict.cannot_tell
    apart = _audit(rows, hidden=Questions.from_pairs(["new"], ["other"]))
    assert _verdicts(apart)["gene leave-one-out"] is Verdict.clean


def test_hidden_rows_by_their_own_shape_and_by_training(tmp_path: Path):
    def planted(seed: int, mark: str) -> LabelledQuestions:
        rows = _rows(seed)
        count = pd.Series(rows.gene).groupby(rows.gene).transform("size").to_numpy()
        label = np.where(count > np.median(count), "up", "none").astype(object)
        return LabelledQuestions(Questions.from_pairs(rows.pert + mark, rows.gene + mark), label)

    train, test = planted(0, "a"), planted(1, "b")
    write_labelled(tmp_path / "bench" / "train.csv", train)
    write_questions(tmp_path / "bench" / "test.csv", test.questions)
    solution = pd.DataFrame({"id": test.id[::-1], "label": test.label[::-1], "Usage": "Public"})
    write_table(tmp_path / "truth" / "solution.csv", solution)
    questions = read_question_set(tmp_path / "bench", truth=tmp_path / "truth")
    found = audit_questions(questions, rng=np.random.default_rng(0), n_resamples=FAST)
    hidden = {f.attack: f for f in found.findings if f.rows == "hidden" and f.target == "DE"}
    assert hidden["trained on structure"].verdict is hidden["gene rows"].verdict is Verdict.leak
    assert hidden["row order"].verdict is not Verdict.leak
    direction = next(f for f in found.findings if f.target == "DIR")
    assert np.isnan(direction.auroc)
    assert (direction.as_json()["auroc"], direction.verdict) == (None, Verdict.cannot_tell)
    alone = read_question_set(tmp_path / "bench" / "test.csv", truth=tmp_path / "truth" / "solution.csv")
    assert alone.train is None
    assert _counts(audit_questions(alone, rng=np.random.default_rng(0), n_resamples=FAST))


def test_what_cannot_be_audited(tmp_path: Path):
    rows = _rows(n=50)
    write_questions(tmp_path / "test.csv", rows.questions)
    with pytest.raises(InputError, match="needs labelled rows"):
        audit_questions(read_question_set(tmp_path / "test.csv"), rng=np.random.default_rng(0))
    write_labelled(tmp_path / "train.csv", rows)
    with pytest.raises(InputError, match="has none"):
        read_question_set(tmp_path / "train.csv", truth=tmp_path)
    write_table(tmp_path / "solution.csv", pd.DataFrame({"id": rows.id[:40], "label": rows.label[:40]}))
    with pytest.raises(FormatError, match="10 are missing"):
        read_question_set(tmp_path, truth=tmp_path)
    write_table(tmp_path / "bare.csv", pd.DataFrame({"pert": ["a"], "label": ["up"]}))
    with pytest.raises(FormatError, match="needs the column gene"):
        read_question_set(tmp_path / "bare.csv")


def test_the_published_files(shared: Path):
    found = audit_questions(
        read_question_set(shared / "data" / "bioreasoning"), rng=np.random.default_rng(0), n_resamples=FAST
    )
    de = {f.attack: f for f in found.findings if f.target == "DE"}
    assert de["proportional fitting"].auroc == pytest.approx(0.685, abs=5e-4)
    assert de["singletons"].auroc == pytest.approx(0.5 + 632 / 4260 / 2)  # 632 genes asked once, none moves
    assert de["gene leave-one-out"].auroc < 0.05
    assert de["trained on structure"].auroc > de["proportional fitting"].auroc - 0.01
    for attack in (
        "proportional fitting",
        "singletons",
        "gene rows",
        "gene leave-one-out",
        "trained on structure",
    ):
        assert de[attack].verdict is Verdict.leak, attack
    assert de["row order"].verdict is de["graph components"].verdict is Verdict.clean
    counts = _counts(found)
    assert counts["hidden perturbations that are training targets"] == 11
    assert counts["shared perturbations"] == counts["shared genes"] == counts["train: duplicated questions"] == 0
