"""Reading the answer's token, on crafted token lists."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.tracks.prompt.logprobs import Token, read_answer_token
from perturbarena.tracks.prompt.reading import Written, read_answer


def tokens(*texts: str, answer: str, **p: float) -> list[Token]:
    """Tokens of which the one equal to ``answer`` (the last such) has these alternatives."""
    found = [Token(text, [(text, -0.1), ("~", -2.0)]) for text in texts]
    at = max(i for i, text in enumerate(texts) if text == answer)
    found[at] = Token(answer, [(text.replace("_", " "), math.log(value)) for text, value in p.items()])
    return found


def read(found: list[Token], content: str | None = None):
    return read_answer_token(found, "".join(t.text for t in found) if content is None else content)


def test_the_letters_are_renormalised_and_variants_summed():
    found = read(tokens("<", "answer", ">", "A", "</", answer="A", A=0.3, _A=0.1, a=0.1, B=0.2, _C=0.1, Z=0.2))
    assert (found.p_up, found.p_down, found.p_none) == pytest.approx((0.5 / 0.8, 0.2 / 0.8, 0.1 / 0.8))
    assert found.mass == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("texts", "answer"),
    [
        (("<answer>", " B", "</answer>"), " B"),
        (("<answer", ">B", "</answer>"), ">B"),
        (("<answer>", "B</", "answer>"), "B</"),
        (("<answer>\n", "**", "B", "**\n</answer>"), "B"),
        (("<answer>", "Option ", "B", "</answer>"), "B"),
        (("<answer>", "B"), "B"),
        (("<answer", " B", "."), " B"),
        (("<final_answer>", "B", "</final_answer>"), "B"),
        (("so ", "B", "</answer>"), "B"),
        (("<answer>", "A", "</answer> no: <answer>", "B", "</answer>"), "B"),
        (("<answer>", "B", "</answer>", "<answer>", "</answer>"), "B"),
        (("<answer>LETTER</answer> is <answer>", "B", "</answer>"), "B"),
    ],
)
def test_the_token_after_the_last_tag_is_found(texts, answer):
    found = read(tokens(*texts, answer=answer, **{"A": 0.2, "B</": 0.5, "_C": 0.3}))
    assert (found.p_up, found.p_down, found.letter) == (pytest.approx(0.2), pytest.approx(0.5), "B")


@pytest.mark.parametrize(
    "content", ["A", "I cannot say.", "<answer></answer>", "<answer>Apples</answer>", "<answer>D</answer>"]
)
def test_without_a_tagged_letter_there_is_no_answer(content):
    assert read([Token(content, [(content, -0.1)])]) == "no_answer_tag"


def test_a_tag_in_the_reasoning_is_no_answer():
    thought = tokens("<answer>", "A", "</answer>", "Neither.", answer="A", A=0.9, B=0.1)
    assert read(thought, "Neither.") == "no_answer_tag"
    harmony = ["<answer>", "A", "</answer>", "<|channel|>final<|message|>", "<answer>", "B", "</answer>"]
    found = read(tokens(*harmony, answer="B", A=0.1, B=0.9), "<answer>B</answer>")
    assert found.p_down == pytest.approx(0.9)


def test_alternatives_without_letters_are_a_reason():
    assert read(tokens("<answer>", "A", answer="A", up=0.5, Apple=0.5)) == "answer_token_without_letters"


@given(st.lists(st.text(max_size=12), max_size=12))
def test_any_tokens_are_read_without_failing(texts):
    found = read([Token(text, [(text, -1.0), ("A", -2.0)]) for text in texts])
    assert isinstance(found, str) or math.isclose(found.p_up + found.p_down + found.p_none, 1.0)


def test_the_three_ways():
    text = "P_up=0.2, P_down=0.5, P_none=0.3\n<answer>B</answer>"
    written = Written(text, "long reasoning <answer>A</answer>", tokens("<answer>", "B", answer="B", A=0.4, B=0.6))
    stated, label, logprobs = (read_answer(written, mode) for mode in ("stated", "label", "logprobs"))
    assert (stated.p_up, stated.p_down) == pytest.approx((0.2, 0.5))
    assert (label.p_up, label.p_down, label.how) == (0.0, 1.0, "label:tag")
    assert (logprobs.p_up, logprobs.p_down, logprobs.label) == (pytest.approx(0.4), pytest.approx(0.6), "down")
    assert read_answer(Written("", "<answer>A</answer>"), "stated").reason == "empty"
    assert read_answer(Written("Who knows."), "stated").reason == "no_answer"
    assert read_answer(Written("<answer>A</answer>"), "logprobs").reason == "no_logprobs"
