"""No answer of any tool depends on a hidden label: labels planted there change nothing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.tracks.tool_store import GENES, labelled, open_store

from perturbarena.challenge.records import LABELS, LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.tracks.tools import built_in_tools
from perturbarena.tracks.tools.similarity import Likeness
from perturbarena.tracks.tools.training import TrainingTools, seen_rows

PAIRS = [(p, g) for p, g in product(("Stat1", "Stat2", "Irf9", "Rela", "Psmd4"), ("Ifit2", "Ifit3", "Tnf", "Il6"))]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """One store for all examples."""
    with pytest.MonkeyPatch.context() as patch:
        return open_store(tmp_path_factory.mktemp("kb"), patch, linked=True)


def every_answer(base, train: LabelledQuestions, hidden: Questions) -> dict[tuple[str, ...], str]:
    """Every tool asked of every gene, and of every pair."""
    return {
        (name, *genes): str(tool.function(*genes))
        for name, tool in built_in_tools(base.path, train=train, hidden=hidden).items()
        for genes in product(GENES, repeat=len(tool.schema.parameters["properties"]))
    }


@settings(max_examples=15)  # each asks every tool of every gene and pair, three times
@given(
    labels=st.lists(st.sampled_from(LABELS), min_size=len(PAIRS), max_size=len(PAIRS)),
    planted=st.lists(st.sampled_from(LABELS), min_size=len(PAIRS), max_size=len(PAIRS)),
    asked=st.sets(st.sampled_from(PAIRS), min_size=1, max_size=2),
    spelling=st.sampled_from(("{}", "Old{}", "old{}")),
)
def test_labels_of_hidden_questions_change_no_answer(base, labels, planted, asked, spelling):
    questions = Questions.from_pairs([p for p, _ in PAIRS], [g for _, g in PAIRS])
    hidden = Questions.from_pairs([spelling.format(p) for p, _ in asked], [spelling.format(g) for _, g in asked])
    touched = [any(p == a or g == b for a, b in asked) for p, g in PAIRS]
    honest = LabelledQuestions(questions, np.array(labels, object))
    changed = LabelledQuestions(questions, np.where(touched, np.array(planted, object), honest.label))
    if all(touched):
        return
    answers = every_answer(base, honest, hidden)
    assert answers == every_answer(base, changed, hidden)
    assert answers == every_answer(base, honest.take(~np.array(touched)), hidden)


def test_the_test_can_fail_seen_labels_do_change_answers(base):
    hidden = labelled(("Stat1", "Ifit2", "none")).questions
    rows = [("Stat2", "Ifit3", "down"), ("Rela", "Il6", "down")]
    before = every_answer(base, labelled(*rows), hidden)
    after = every_answer(base, labelled(("Stat2", "Ifit3", "up"), rows[1]), hidden)
    told = {key[0] for key in before if before[key] != after[key]}
    assert told == {"knockouts_like", "genes_like", "similar_questions"}


@given(hidden=st.sampled_from(GENES))
def test_a_gene_is_left_out_of_its_own_answer(base, hidden):
    train = labelled(*[(p, g, "down") for p, g in PAIRS])
    tools = TrainingTools(base, train, hidden=Questions.from_pairs(["Actb"], ["Actb"]))
    assert f"\n{hidden} (" not in tools.knockouts_like(hidden)
    assert f"\n{hidden} (" not in tools.genes_like(hidden)
    assert f"\n{hidden} →" not in tools.similar_questions(hidden, "Tnf")
    _, *nearest = tools.similar_questions("Stat1", hidden).split("\n")
    assert not any(f"→ {hidden}:" in line for line in nearest)


def test_what_was_measured_is_told(base):
    train = labelled(
        ("Stat2", "Ifit3", "down"), ("Stat2", "Tnf", "none"), ("Rela", "Il6", "down"), ("Psmd4", "Actb", "up")
    )
    tools = TrainingTools(base, train, hidden=labelled(("Stat1", "Ifit2", "none")).questions)
    knockouts = tools.knockouts_like("Stat1")
    assert knockouts.split("\n")[1].startswith("Psmd4 (links 0.90): 1 up, 0 down, 0 unchanged; up: Actb")
    assert "Stat2 (alike 0." in knockouts
    assert "0 up, 1 down, 1 unchanged; down: Ifit3" in knockouts
    assert "Of all 4 training questions 25% are up, 50% down." in knockouts
    assert "Ifit3 (alike 0." in tools.genes_like("Ifit2")
    assert "Stat2 → Ifit3: down" in tools.similar_questions("Stat1", "Ifit2")
    assert "nothing is known of it here" in tools.knockouts_like("Xyz1")


def test_rows_under_an_old_name_are_hidden_too(base):
    train = labelled(("OldStat1", "Tnf", "up"), ("Rela", "oldifit2", "up"), ("Rela", "Tnf", "down"))
    seen = seen_rows(train, hidden=labelled(("Stat1", "Ifit2", "none")).questions, base=base)
    assert list(zip(seen.pert, seen.gene, strict=True)) == [("Rela", "Tnf")]


def test_training_tools_need_the_questions_and_a_row(base):
    train = labelled(("Stat1", "Tnf", "up"))
    with pytest.raises(InputError, match="need the questions that will be asked"):
        built_in_tools(base.path, train=train)
    with pytest.raises(InputError, match="none of 1 is left"):
        built_in_tools(base.path, train=train, hidden=train.questions)


def test_likeness_is_missing_where_nothing_is_known(base):
    likeness = Likeness.of_targets(base)
    found = likeness.to("Stat1", np.array(["Irf9", "Xyz1"], object))
    assert np.isfinite(found[0])
    assert np.isnan(found[1])
    assert np.isnan(likeness.to("Xyz1", np.array(["Irf9"], object))).all()
