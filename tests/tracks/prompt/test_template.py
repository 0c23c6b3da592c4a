"""Templates: four fields, every other brace itself; worked examples that give nothing away; prompts from files."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.challenge.records import LABELS, LabelledQuestions, Question, Questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.prompt import (
    Examples,
    cell_context,
    file_prompts,
    parse_template,
    shipped_template,
    template_prompts,
)

RULES = load_challenge("bioreasoning-2026")


@given(
    st.text(alphabet=st.characters(blacklist_characters="{}", blacklist_categories=["Cs"])), st.text(max_size=20)
)
def test_text_and_values_stay_as_they_are(text, gene):
    template = parse_template(f"{text}{{pert}} {{gene}}{text}", source="t")
    assert template.render(pert="{gene}", gene=gene, cell_context="x") == f"{text}{{gene}} {gene}{text}"


@pytest.mark.parametrize(
    "literal",
    ['{"answer": "A"}', "{}", "{A}", r"\boxed{answer}", r"\text{up}", "{ pert }", "{up|down}", "{{", "}"],
)
def test_other_braces_are_literal(literal):
    template = parse_template(f"{literal} {{pert}} {{gene}}", source="t")
    assert template.render(pert="P", gene="G", cell_context="") == f"{literal} P G"


@pytest.mark.parametrize(("text", "line"), [("{pert}\n{gene}\n{genes}", 3), ("{Pert} {gene}", 1)])
def test_an_unknown_field_is_refused_with_its_line(text, line):
    with pytest.raises(FormatError, match=rf"^t: unknown field .* \(line {line}\)"):
        parse_template(text, source="t")


def test_a_template_needs_both_genes():
    with pytest.raises(FormatError, match=r"must name \{gene\}"):
        parse_template("{pert}", source="t")


@pytest.mark.parametrize("name", ["stated", "letter"])
def test_shipped_templates_state_the_biology(name):
    prompts = template_prompts(shipped_template(name), challenge=RULES)
    text = prompts.text_of(Question("Tlr4_Il6", "Tlr4", "Il6"))
    for said in (
        "Tlr4",
        "Il6",
        "Cas9",
        "knockout",
        "LPS, 9 hours",
        "mouse bone marrow-derived macrophages",
        "<answer>",
    ):
        assert said in text
    assert not re.search(r"\{\w+\}", text)
    assert cell_context(RULES.biology) in text


def _train(n: int, rng: np.random.Generator) -> LabelledQuestions:
    pairs = {(f"P{rng.integers(6)}", f"P{rng.integers(6, 14)}") for _ in range(n)}
    pert, gene = zip(*sorted(pairs), strict=True)
    return LabelledQuestions(Questions.from_pairs(pert, gene), rng.choice(LABELS, len(pert)))


@given(st.integers(0, 50), st.integers(1, 6), st.integers(0, 5), st.integers(6, 13))
def test_examples_share_no_gene_with_the_question_and_repeat(seed, k, pert, gene):
    train = _train(60, np.random.default_rng(seed))
    # the question's genes stand in the other role too
    question = (
        Question(f"P{gene}_P{pert}", f"P{gene}", f"P{pert}") if seed % 2 else Question("q", f"P{pert}", f"P{gene}")
    )
    rows = Examples(train, k, seed=seed).draw(question)
    assert len(set(rows.id)) == k
    assert not {question.pert, question.gene} & {*rows.pert, *rows.gene}
    assert list(Examples(train, k, seed=seed).draw(question).id) == list(rows.id)


def test_too_few_examples_are_an_error():
    train = LabelledQuestions(Questions.from_pairs(["A"], ["B"]), np.array(["up"], object))
    with pytest.raises(InputError, match="leave 0"):
        Examples(train, 1).draw(Question("A_C", "A", "C"))


def test_examples_need_a_place_in_the_template():
    examples = Examples(_train(30, np.random.default_rng(0)), 2)
    with pytest.raises(InputError, match="has no"):
        template_prompts(parse_template("{pert}{gene}", source="t"), challenge=RULES, examples=examples)
    text = template_prompts(shipped_template("letter"), challenge=RULES, examples=examples).text_of(
        Question("q", "X", "Y")
    )
    assert len(re.findall(r"<answer>[ABC]</answer>", text)) == 2


QUESTIONS = Questions.from_pairs(["A", "B"], ["X", "Y"])


def test_prompts_from_files(tmp_path):
    (tmp_path / "p.csv").write_text('id,prompt\nB_Y,two\nA_X,"one, {pert}"\n')
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps({"id": i, "prompt": i}) for i in ("A_X", "B_Y")))
    prompts = file_prompts(tmp_path / "p.csv", QUESTIONS)
    assert [prompts.text_of(q) for q in QUESTIONS] == ["one, {pert}", "two"]
    assert [file_prompts(tmp_path / "p.jsonl", QUESTIONS).text_of(q) for q in QUESTIONS] == ["A_X", "B_Y"]


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("p.csv", "id,prompt\nA_X,one\n", "no prompt for 1 of 2 questions: B_Y"),
        ("p.csv", "id,prompt\nA_X,one\nA_X,two\n", "A_X stands again"),
        ("p.jsonl", '{"id": "A_X", "prompt": " "}', "line 1: the prompt of A_X is blank"),
        ("p.jsonl", "nonsense", "line 1 is not JSON"),
        ("p.jsonl", '{"id": 1}', "line 1 needs"),
    ],
)
def test_wrong_prompt_files_are_refused(tmp_path, name, text, match):
    (tmp_path / name).write_text(text)
    with pytest.raises(FormatError, match=match):
        file_prompts(tmp_path / name, QUESTIONS)
