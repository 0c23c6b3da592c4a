"""What is trained and what is asked: the same bytes and tokens, and a loss on the answer alone."""

from __future__ import annotations

import json

import pytest

from perturbarena.challenge.records import LABELS, Question
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import FormatError
from perturbarena.tracks.finetune import (
    OPTION_TEXTS,
    ChatPrompt,
    TinySettings,
    load_model,
    load_prompt,
    make_tiny_model,
    option_text,
    read_text,
    stated_text,
)
from perturbarena.tracks.finetune.chat import IGNORED
from perturbarena.tracks.prompt import shipped_template

QUESTION = Question("Stat1_Irf7", "Stat1", "Irf7")
CHALLENGE = load_challenge("bioreasoning-2026")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """Of a model that answers at once, of one that thinks first, and of one without a chat template."""
    texts = [shipped_template("letter").text] * 3
    found = {}
    for name, settings in {"plain": TinySettings(), "thinking": TinySettings(thinking=True)}.items():
        folder = make_tiny_model(tmp_path_factory.mktemp(name), texts, settings)
        found[name] = load_model(folder, device="cpu").tokenizer
    bare = load_model(make_tiny_model(tmp_path_factory.mktemp("bare"), texts), device="cpu").tokenizer
    bare.chat_template = None
    return found | {"bare": bare}


@pytest.mark.parametrize("kind", ["plain", "thinking", "bare"])
@pytest.mark.parametrize("system", ["", "You know every pathway."])
def test_a_model_is_asked_with_the_bytes_and_tokens_it_was_trained_on(tokenizers, kind, system, tmp_path):
    tokenizer = tokenizers[kind]
    trained = ChatPrompt.of(shipped_template("letter"), challenge=CHALLENGE, system=system)
    trained.save(tmp_path)
    asked = load_prompt(tmp_path)
    assert asked is not None
    text = asked.text(QUESTION, tokenizer)
    for answer in OPTION_TEXTS:
        example = trained.example(QUESTION, answer, tokenizer, reasoning="Stat1 drives Irf7.")
        written = tokenizer.decode(example.input_ids)
        assert written.encode().startswith(text.encode())
        assert example.input_ids[: len(example.prompt)] == asked.ids(QUESTION, tokenizer)
        assert answer in written[len(text) :]
    assert system in text
    assert "Stat1" in text
    assert asked == trained
    assert asked.digest == trained.digest


@pytest.mark.parametrize("kind", ["plain", "thinking", "bare"])
def test_only_what_is_written_bears_loss(tokenizers, kind):
    prompt = ChatPrompt.of(shipped_template("letter"), challenge=CHALLENGE)
    example = prompt.example(QUESTION, option_text("down"), tokenizers[kind])
    labels = example.labels
    assert len(labels) == len(example.input_ids)
    assert set(labels[: len(example.prompt)]) == {IGNORED}
    assert labels[len(example.prompt) :] == example.completion
    assert tokenizers[kind].decode(example.completion).endswith("<answer>B</answer><|im_end|>")


def test_a_think_block_that_the_template_opened_is_closed_before_the_answer(tokenizers):
    prompt = ChatPrompt.of(shipped_template("letter"), challenge=CHALLENGE)
    text = prompt.text(QUESTION, tokenizers["thinking"])
    assert text.endswith("<think>\n")
    answered = prompt.completion("X", tokenizers["thinking"], prompt=text)
    reasoned = prompt.completion("X", tokenizers["thinking"], prompt=text, reasoning=" because \n")
    assert answered == "\n</think>\n\nX<|im_end|>"
    assert reasoned == "because\n</think>\n\nX<|im_end|>"
    plain = prompt.text(QUESTION, tokenizers["plain"])
    assert prompt.completion("X", tokenizers["plain"], prompt=plain, reasoning="why") == "why\n\nX<|im_end|>"


@pytest.mark.parametrize("kind", ["plain", "thinking", "bare"])
def test_options_are_split_where_they_differ(tokenizers, kind):
    prompt = ChatPrompt.of(shipped_template("letter"), challenge=CHALLENGE)
    tokenizer = tokenizers[kind]
    split = prompt.option_ids(QUESTION, tokenizer)
    for answer, own in zip(OPTION_TEXTS, split.options, strict=True):
        whole = prompt.example(QUESTION, answer, tokenizer).input_ids
        assert whole[: len(split.prefix) + len(own)] == split.prefix + own
    assert len({tuple(own) for own in split.options}) == 3


def test_answers_are_read_back_as_they_are_written():
    for label in LABELS:
        assert read_text(option_text(label)).label == label
    for p_up, p_down in [(0.2, 0.7), (1 / 3, 1 / 3), (0.005, 0.005), (1.0, 0.0), (0.333, 0.666)]:
        read = read_text(stated_text(p_up, p_down))
        assert read.p_up == pytest.approx(p_up, abs=0.0101)
        assert read.p_down == pytest.approx(p_down, abs=0.0101)


def test_a_damaged_prompt_file_is_told(tmp_path):
    assert load_prompt(tmp_path) is None
    (tmp_path / "prompt.json").write_text("{}", encoding="utf-8")
    with pytest.raises(FormatError, match="not a model's prompt"):
        load_prompt(tmp_path)
    (tmp_path / "prompt.json").write_text(json.dumps({"format_version": 9}), encoding="utf-8")
    with pytest.raises(FormatError, match="format version 9"):
        load_prompt(tmp_path)
