"""The answer parser: total on any text, right on what models really write."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parsing_cases import CASES, STATED

from perturbarena.challenge.formats import read_table
from perturbarena.challenge.records import LABELS
from perturbarena.errors import InputError
from perturbarena.tracks import ParsedAnswer, parse_answer, parse_answers, parse_report

LETTER = {"A": "up", "B": "down", "C": "none"}
HARD = {"up": (1.0, 0.0), "down": (0.0, 1.0), "none": (0.0, 0.0), "": (1 / 3, 1 / 3)}

PIECES = st.sampled_from(
    [
        *("A", "B", "C", "a", "A) x\nB) y\nC) z\n", "up", "down", "upregulated", "effect", "unknown"),
        *(
            "<answer>",
            "</answer>",
            "<answer",
            "answer>",
            "\\boxed{",
            "}",
            "{",
            '"answer": "',
            "<think>",
            "</think>",
        ),
        *("answer", " is ", ": ", " or ", "/", "not ", "no ", "unlikely to ", "n't", "I choose ", "So ", "?"),
        *("P_up=", "P_down=", "0.3", "1e309", "-1", "%", "\n", " ", ")", "(", ".", ",", "**"),
        *("\u2013", "\u201c", "\u0301", "\ud800", "\x00"),
    ]
)


def assert_total(answer: ParsedAnswer) -> None:
    assert math.isfinite(answer.p_up)
    assert math.isfinite(answer.p_down)
    assert 0.0 <= answer.p_up <= 1.0
    assert 0.0 <= answer.p_down <= 1.0
    assert answer.p_up + answer.p_down <= 1.0
    if answer.parsed:
        assert answer.label in LABELS
        assert not answer.how.startswith("unparsed")
    else:
        assert answer.label == ""
        assert (answer.p_up, answer.p_down) == (1 / 3, 1 / 3)
        assert re.fullmatch(r"unparsed:[a-z_]+", answer.how)


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=300))
def test_total_on_any_text(text):
    assert_total(parse_answer(text))


@settings(max_examples=800, deadline=None)
@given(st.lists(PIECES, max_size=25).map("".join))
def test_total_on_scrambled_answers(text):
    assert_total(parse_answer(text))


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=200), st.sampled_from("ABC"))
def test_the_last_tag_wins_whatever_stands_before(text, letter):
    assert parse_answer(f"{text}\n<answer>{letter}</answer>").label == LETTER[letter]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_stated_probabilities_come_back(up, down):
    up, down = up / 1000, down / 1000
    answer = parse_answer(f"P_up={up}, P_down={down}")
    if up + down > 1 + 1e-9:
        assert answer.how == "unparsed:bad_probabilities"
    else:
        assert (answer.p_up, answer.p_down) == pytest.approx((up, down), abs=1e-12)


@pytest.mark.parametrize(("text", "label", "how"), CASES, ids=lambda value: repr(value)[-60:])
def test_what_models_write(text, label, how):
    answer = parse_answer(text)
    assert (answer.label, answer.how) == (label, how)
    assert (answer.p_up, answer.p_down) == HARD[label]


@pytest.mark.parametrize(("text", "p_up", "p_down", "how"), STATED, ids=lambda value: repr(value)[-60:])
def test_stated_probabilities(text, p_up, p_down, how):
    answer = parse_answer(text)
    assert answer.how == how
    assert (answer.p_up, answer.p_down) == pytest.approx((p_up, p_down), abs=1e-12)


def test_the_label_is_the_most_probable_outcome():
    assert parse_answer("P_up=0.6, P_down=0.1").label == "up"
    assert parse_answer("P_up=0.1, P_down=0.6").label == "down"
    assert parse_answer("P_up=0.2, P_down=0.2").label == "none"


def test_other_letters():
    assert parse_answer("<answer>Z</answer>", letters=("X", "Y", "Z")).label == "none"
    assert parse_answer("Answer: B", letters=("B", "A", "C")).label == "up"
    assert parse_answer("Answer: A", letters=("X", "Y", "Z")).label == ""


@pytest.mark.parametrize("letters", ["AB", "AAB", "AaB", "A1C", ("A", "B", "CC"), ("A", "B", "")])
def test_letters_must_be_three_different_ones(letters):
    with pytest.raises(InputError, match="letters must be three different ones"):
        parse_answer("A", letters=letters)


# Unbounded or nested repetition in a pattern takes hours on one of these; bounded repetition about a second.
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "piece",
    [
        "<answer>",
        "\\boxed{",
        "A) B) ",
        '"answer": "',
        "answer is ",
        "no ",
        "((A) ",
        "0.3",
        " ",
        "30% up ",
        "A or ",
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(piece):
    assert_total(parse_answer((piece * (1_000_000 // len(piece) + 1))[:1_000_000]))


def test_report_counts_every_failure():
    report = parse_report(parse_answers(["A", "<answer>B</answer>", "", "", "A or B", "I don't know"]))
    assert (report.n, report.n_parsed) == (6, 2)
    assert report.parse_rate == pytest.approx(1 / 3)
    assert report.label == {"up": 1, "down": 1, "none": 0}
    assert report.how == {
        "unparsed:empty": 2, "letter": 1, "tag": 1, "unparsed:ambiguous": 1, "unparsed:refusal": 1,
    }  # fmt: skip
    assert math.isnan(parse_report([]).parse_rate)


@pytest.mark.parametrize("seed", [42, 43, 44])
def test_recorded_traces_agree_with_their_last_tag(shared, seed):
    table = read_table(shared / "data/llm_outputs/prompt_train2499.csv.gz")
    texts = list(table[f"reasoning_trace_seed{seed}"])
    answers = parse_answers(texts)
    tags = [re.findall(r"<answer>\s*([ABC])\s*</answer>", text)[-1:] for text in texts]
    assert sum(map(len, tags)) == 2499
    assert [a.label for a, tag in zip(answers, tags, strict=True) if tag] == [
        LETTER[tag[0]] for tag in tags if tag
    ]
    assert parse_report(answers).parse_rate >= 0.999


def test_without_their_tags_the_traces_say_the_same(shared):
    """The readers below ``tag``, on real texts whose answer is known."""
    table = read_table(shared / "data/llm_outputs/kit_track_a_test.csv.gz")
    texts = list(table["reasoning_trace_seed43"])
    wanted = [LETTER[re.findall(r"<answer>\s*([ABC])\s*</answer>", text)[-1]] for text in texts]
    answers = parse_answers(re.sub(r"<answer>[^<]*</answer>\.?", "", text) for text in texts)
    read = [(answer.label, label) for answer, label in zip(answers, wanted, strict=True) if answer.parsed]
    assert len(read) >= 0.98 * len(texts)
    assert sum(got != want for got, want in read) <= 0.001 * len(read)


def test_agent_traces_agree_with_the_submitted_answers(shared):
    table = read_table(shared / "data/llm_outputs/kit_track_b_test.csv.gz").iloc[::6]
    answers = parse_answers(table["reasoning_trace"])
    assert {answer.how for answer in answers} == {"json"}
    assert [answer.p_up for answer in answers] == [float(p) for p in table["prediction_up"]]
    assert [answer.p_down for answer in answers] == [float(p) for p in table["prediction_down"]]


def test_a_small_models_failures_are_named(shared):
    table = read_table(shared / "data/llm_outputs/kit_track_c_test.csv.gz")
    report = parse_report(parse_answers(table["reasoning_trace"]))
    assert report.how == {
        "tag": 1789, "unparsed:no_answer": 9, "unparsed:placeholder": 7, "letter": 4, "phrase": 4,
    }  # fmt: skip
