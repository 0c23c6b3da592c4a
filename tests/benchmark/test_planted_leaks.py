"""One leak of each kind is planted in a set that has none, and that one is found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.benchmark.question_cases import biregular, coin

from perturbarena.benchmark import Audit, LabelledFile, QuestionSet, Verdict, audit_questions, simulate_questions
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.stats import structure as shape

Planted = tuple[LabelledFile, Questions | None]


def _leaks(found: Audit, target: str = "DE") -> set[str]:
    return {f.attack for f in found.findings if f.target == target and f.verdict is Verdict.leak}


def _audit(questions: QuestionSet) -> Audit:
    return audit_questions(questions, rng=np.random.default_rng(1), n_resamples=100)


def _uneven(rng: np.random.Generator) -> Questions:
    return simulate_questions(rng, n_perts=60, n_genes=150, n_questions=1500).questions.questions


def _graph(questions: Questions) -> shape.Structure:
    return shape.Structure.of(questions.pert, questions.gene)


def _by_score(rng: np.random.Generator, questions: Questions, score: np.ndarray) -> Planted:
    """Rows above the median score move nine times in ten, the others one time in ten."""
    return LabelledFile.of(coin(rng, questions, np.where(score > np.median(score), 0.9, 0.1))), None


def gene_rows(rng: np.random.Generator) -> Planted:
    questions = _uneven(rng)
    return _by_score(rng, questions, _graph(questions).gene_rows)


def perturbation_rows(rng: np.random.Generator) -> Planted:
    questions = _uneven(rng)
    return _by_score(rng, questions, -_graph(questions).pert_rows)


def singletons(rng: np.random.Generator) -> Planted:
    """A tenth of the rows ask for a gene that stands once and does not move."""
    questions = biregular(rng)
    gene = questions.gene.copy()
    once = rng.choice(len(gene), 150, replace=False)
    gene[once] = [f"once{i}" for i in range(150)]
    moves = np.full(len(gene), 0.5)
    moves[once] = 0.0
    return LabelledFile.of(coin(rng, Questions.from_pairs(questions.pert, gene), moves)), None


def proportional_fitting(rng: np.random.Generator) -> Planted:
    questions = _uneven(rng)
    graph = _graph(questions)
    return _by_score(rng, questions, shape.proportional_fit(graph, shape.matched_margins(graph)))


def trained_on_structure(rng: np.random.Generator) -> Planted:
    """Genes asked seldom or often move, those between do not: no score that rises with their number sees it."""
    questions = _uneven(rng)
    count = _graph(questions).gene_rows
    moves = np.abs(count - np.median(count)) > 1
    return LabelledFile.of(coin(rng, questions, np.where(moves, 0.9, 0.1))), None


def graph_components(rng: np.random.Generator) -> Planted:
    """Two parts with the same counts, one of twice the size."""
    large, small = biregular(rng, n_perts=60, n_genes=150), biregular(rng, n_perts=30, n_genes=75, mark="s")
    columns = [np.r_[a, b] for a, b in ((large.pert, small.pert), (large.gene, small.gene))]
    moves = np.repeat([0.7, 0.3], [len(large), len(small)])
    rows = coin(rng, Questions.from_pairs(*columns), moves)
    return LabelledFile.of(rows.take(rng.permutation(len(rows)))), None


def row_order(rng: np.random.Generator) -> Planted:
    rows = coin(rng, biregular(rng))
    return LabelledFile.of(rows.take(np.argsort(rows.is_de + rng.normal(size=len(rows)), kind="stable"))), None


def row_above(rng: np.random.Generator) -> Planted:
    """Runs of labels that come as often early as late."""
    rows = coin(rng, biregular(rng))
    moved, still = (list(np.flatnonzero(rows.is_de == which)) for which in (True, False))
    order: list[int] = []
    while moved and still:
        order += [moved.pop() for _ in range(min(4, len(moved)))] + [
            still.pop() for _ in range(min(4, len(still)))
        ]
    return LabelledFile.of(rows.take(np.array(order + moved + still))), None


def id_length(rng: np.random.Generator) -> Planted:
    rows = coin(rng, biregular(rng))
    ids = [i + "x" * int(m) for i, m in zip(rows.id, rows.is_de ^ (rng.random(len(rows)) < 0.1), strict=True)]
    return LabelledFile(rows, np.array(ids, object)), None


def id_number(rng: np.random.Generator) -> Planted:
    rows = coin(rng, biregular(rng))
    number = rng.integers(1000, 8000, size=len(rows)) + 1500 * rows.is_de
    ids = [f"q{n}-{i}" for n, i in zip(number, rows.id, strict=True)]
    return LabelledFile(rows, np.array(ids, object)), None


def _lively(rng: np.random.Generator, axis: str) -> Planted:
    """Genes (perturbations) move often or seldom, and hidden rows have the same ones."""
    questions = biregular(rng)
    names = getattr(questions, axis)
    share = {name: rng.choice([0.2, 0.8]) for name in sorted(set(names))}
    other = biregular(rng, mark="h")
    hidden = {"pert": other.pert, "gene": other.gene} | {axis: names}
    rows = coin(rng, questions, np.array([share[name] for name in names]))
    return LabelledFile.of(rows), Questions.from_pairs(**hidden)


def gene_leave_one_out(rng: np.random.Generator) -> Planted:
    return _lively(rng, "gene")


def perturbation_leave_one_out(rng: np.random.Generator) -> Planted:
    return _lively(rng, "pert")


def _matched(rng: np.random.Generator, axis: str) -> Planted:
    """Of each gene (perturbation) half the rows move, no more and no less."""
    questions = biregular(rng)
    order = np.argsort(getattr(questions, axis).astype(str) + rng.random(len(questions)).astype(str))
    label = np.empty(len(questions), object)
    label[order] = np.tile(["up", "none"], len(questions) // 2)  # sorted by name, then at random
    return LabelledFile.of(LabelledQuestions(questions, label)), None


FOUND: dict[str, tuple[Callable[[np.random.Generator], Planted], set[str]]] = {
    "gene rows": (gene_rows, {"trained on structure", "proportional fitting", "gene leave-one-out", "singletons"}),
    "perturbation rows": (perturbation_rows, {"trained on structure", "proportional fitting"}),
    "singletons": (singletons, {"gene rows", "proportional fitting", "trained on structure"}),
    "proportional fitting": (proportional_fitting, {"gene rows", "perturbation rows", "trained on structure"}),
    "trained on structure": (trained_on_structure, {"proportional fitting"}),
    "graph components": (graph_components, {"trained on structure"}),
    "row order": (row_order, {"row above"}),
    "row above": (row_above, set()),
    "id length": (id_length, set()),
    "id number": (id_number, {"id length"}),
    "gene leave-one-out": (gene_leave_one_out, set()),
    "perturbation leave-one-out": (perturbation_leave_one_out, set()),
}
"""Each attack, the set that it must find, and the attacks that may find it as well."""


@pytest.mark.parametrize("attack", FOUND)
def test_each_attack_finds_its_leak_and_others_do_not(attack: str):
    plant, as_well = FOUND[attack]
    train, hidden = plant(np.random.default_rng(0))
    found = _audit(QuestionSet(train, hidden, None))
    leaks = _leaks(found)
    assert attack in leaks
    assert leaks <= {attack} | as_well


def test_a_leak_that_only_a_trained_classifier_sees():
    train, _ = trained_on_structure(np.random.default_rng(0))
    found = _audit(QuestionSet(train, None, None))
    off = {
        f.attack: abs(f.auroc - 0.5) for f in found.findings if f.target == "DE" and "leave-one" not in f.attack
    }
    trained = off.pop("trained on structure")
    assert trained > 0.35
    assert max(off.values()) < 0.1


def test_every_attack_is_planted():
    rng = np.random.default_rng(0)
    train, _ = id_length(rng)
    found = _audit(QuestionSet(train, None, None))
    assert {f.attack for f in found.findings} == set(FOUND)


@pytest.mark.parametrize(
    ("axis", "attack"), [("gene", "gene leave-one-out"), ("pert", "perturbation leave-one-out")]
)
def test_labels_matched_within_names(axis: str, attack: str):
    rng = np.random.default_rng(0)
    found = _audit(QuestionSet(*_matched(rng, axis), None))
    assert _leaks(found) == {attack}
    sentence = next(f.sentence for f in found.findings if f.attack == attack)
    assert "matched by design" in sentence


@pytest.mark.parametrize(("axis", "name"), [("gene", "gene"), ("pert", "perturbation")])
def test_training_means_of_shared_names(axis: str, name: str):
    """What the names' training labels tell of hidden rows with the same names; nothing is asked where none has."""
    rng = np.random.default_rng(0)
    train, hidden = _lively(rng, axis)
    assert hidden is not None
    share = {n: np.mean(train.rows.is_de[getattr(train.rows, axis) == n]) for n in set(getattr(hidden, axis))}
    same = coin(rng, hidden, np.array([share[n] for n in getattr(hidden, axis)]))
    attack = f"{name} training mean"
    assert _leaks(_audit(QuestionSet.of(train.rows, same))) >= {attack}
    apart = _audit(QuestionSet.of(train.rows, coin(rng, biregular(rng, mark="h"))))
    assert not [f for f in apart.findings if f.attack == attack]


BASE = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "z"), ("c", "x")]
LABELS = ["up", "none", "down", "none", "up", "none"]
CLEAN_HIDDEN = ([("h", "w"), ("k", "v")], ["up", "none"])


@pytest.mark.parametrize(
    ("extra", "hidden", "check", "with_it"),
    [
        ([("a", "x", "up", "again")], CLEAN_HIDDEN, "train: duplicated questions", set()),
        ([("a", "x", "down", "new")], CLEAN_HIDDEN, "train: contradictory questions",
         {"train: duplicated questions"}),
        ([("d", "z", "up", "a_x")], CLEAN_HIDDEN, "train: repeated ids", set()),
        ([("d", "d", "up", "d_d")], CLEAN_HIDDEN, "train: self-pairs", set()),
        ([], ([("a", "w"), ("k", "v")], ["up", "none"]), "shared perturbations", set()),
        ([], ([("h", "x"), ("k", "v")], ["up", "none"]), "shared genes", set()),
        ([], ([("x", "w"), ("k", "v")], ["up", "none"]), "hidden perturbations that are training targets", set()),
        ([], ([("h", "a"), ("k", "v")], ["up", "none"]), "training perturbations that are hidden targets", set()),
        (
            [],
            ([("a", "x"), ("k", "v")], ["up", "none"]),
            "shared questions",
            {"shared perturbations", "shared genes"},
        ),
        (
            [],
            ([("a", "x"), ("k", "v")], ["down", "none"]),
            "shared questions with another label",
            {"shared questions", "shared perturbations", "shared genes"},
        ),
        ([], ([("h", "w"), ("h", "w")], ["up", "none"]), "hidden: contradictory questions",
         {"hidden: duplicated questions", "hidden: repeated ids"}),
    ],
)  # fmt: skip
def test_what_is_counted(extra, hidden, check: str, with_it: set[str]):
    pairs = [*BASE, *((p, g) for p, g, _, _ in extra)]
    rows = LabelledQuestions(Questions.from_pairs(*zip(*pairs, strict=True)), [*LABELS, *(e[2] for e in extra)])
    ids = np.array([*(f"{p}_{g}" for p, g in BASE), *(e[3] for e in extra)], object)
    asked, answers = hidden
    truth = LabelledQuestions(Questions.from_pairs(*zip(*asked, strict=True)), answers)
    found = _audit(QuestionSet(LabelledFile(rows, ids), truth.questions, LabelledFile.of(truth)))
    assert {c.check for c in found.checks if c.verdict is Verdict.leak} == {check} | with_it
    assert next(c for c in found.checks if c.check == check).count == 1
    assert any(c.examples for c in found.checks if c.check == check)
