"""Likelihoods of answer options: equal to the naive loop on many architectures, and with less work."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from perturbarena.challenge.records import Question
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import InputError
from perturbarena.tracks.finetune import ChatPrompt, make_tiny_model
from perturbarena.tracks.finetune.likelihood import (
    OptionScorer,
    length_batches,
    naive_log_likelihoods,
    option_log_likelihoods,
    shared_beginning,
)
from perturbarena.tracks.finetune.models import load_model
from perturbarena.tracks.finetune.options import OPTION_TEXTS
from perturbarena.tracks.prompt import shipped_template

VOCABULARY = 300
SIZE = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FAMILIES = {
    "qwen3": {},
    "llama": {},
    "mistral": {"sliding_window": 24},
    "gemma3_text": {"sliding_window": 24},
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 64},
    "gpt2": {"n_embd": 64, "n_head": 4, "n_layer": 2, "n_positions": 256},
    "bloom": {},
    "mamba": {},
}
OPTIONS = {
    "single tokens": [[5], [6], [7]],
    "a common beginning": [[5, 6, 7, 8, 9], [5, 6, 17, 8, 9], [5, 6, 27, 8]],
    "of all lengths": [[11], [12, 13], [14, 15, 16, 17]],
}


def build(family: str):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **{**SIZE, **FAMILIES[family]})
    return AutoModelForCausalLM.from_config(config).eval()


def drawn_prompts(n: int, *, shared: int, low: int = 5, high: int = 50) -> list[list[int]]:
    rng = np.random.default_rng(1)
    begin = rng.integers(3, VOCABULARY, shared).tolist()
    return [begin + rng.integers(3, VOCABULARY, rng.integers(low, high)).tolist() for _ in range(n)]


@pytest.fixture(scope="module")
def qwen():
    return build("qwen3")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("shared", [0, 30], ids=["nothing shared", "a shared beginning"])
@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_equals_the_naive_loop(qwen, options, shared, batch_size):
    prompts = drawn_prompts(7, shared=shared)
    naive = naive_log_likelihoods(qwen, prompts, options)
    fast = option_log_likelihoods(qwen, prompts, options, batch_size=batch_size)
    assert fast.log_likelihood.shape == (7, 3)
    np.testing.assert_allclose(fast.log_likelihood, naive.log_likelihood, atol=1e-5)
    np.testing.assert_allclose(fast.probability, naive.probability, atol=1e-5)
    np.testing.assert_allclose(fast.probability.sum(axis=1), 1.0)
    np.testing.assert_allclose(fast.mass, np.exp(naive.log_likelihood).sum(axis=1), rtol=1e-4)


@pytest.mark.filterwarnings("ignore::UserWarning")  # mamba's kernels are not installed
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_naive_loop_on_other_architectures(family):
    model = build(family)
    prompts, options = drawn_prompts(5, shared=30), OPTIONS["a common beginning"]
    naive = naive_log_likelihoods(model, prompts, options)
    fast = option_log_likelihoods(model, prompts, options, batch_size=3)
    np.testing.assert_allclose(fast.log_likelihood, naive.log_likelihood, atol=1e-5)


def test_less_than_a_third_of_the_tokens_go_through_the_model(qwen):
    prompts = drawn_prompts(32, shared=40, low=40, high=60)
    fast = option_log_likelihoods(qwen, prompts, OPTIONS["single tokens"], batch_size=8)
    assert fast.tokens_read == sum(3 * (len(p) + 1) for p in prompts)
    assert fast.tokens_computed < fast.tokens_read / 3


def test_the_real_prompt_and_its_options(tmp_path):
    chat = ChatPrompt.of(shipped_template("letter"), challenge=load_challenge("bioreasoning-2026"))
    asked = [Question(f"{p}_{g}", p, g) for p, g in (("Tlr4", "Il6"), ("Stat1", "Irf7"), ("Zc3h4", "Actb"))]
    loaded = load_model(make_tiny_model(tmp_path, [chat.messages(asked[0])[0]["content"]]))
    tokenizer = loaded.tokenizer
    split = [chat.option_ids(question, tokenizer) for question in asked]
    assert len({str(one.options) for one in split}) == 1
    naive = naive_log_likelihoods(loaded.model, [one.prefix for one in split], split[0].options)
    fast = option_log_likelihoods(loaded.model, [one.prefix for one in split], split[0].options)
    np.testing.assert_allclose(fast.log_likelihood, naive.log_likelihood, atol=1e-5)
    # the same as the whole answers after the prompt, as training sees them, but for what all answers share
    whole = [[chat.example(q, text, tokenizer) for text in OPTION_TEXTS] for q in asked]
    trained = naive_log_likelihoods(
        loaded.model, [row[0].prompt for row in whole],
        [one.completion[: len(one.completion) - len(_tail(whole[0]))] for one in whole[0]],
    )  # fmt: skip
    np.testing.assert_allclose(fast.probability, trained.probability, atol=1e-5)


def _tail(row) -> list[int]:
    n, completions = 0, [one.completion for one in row]
    while len({completion[-n - 1] for completion in completions}) == 1:
        n += 1
    return completions[0][len(completions[0]) - n :]


def test_options_must_exclude_each_other(qwen):
    with pytest.raises(InputError, match="option 1 is the beginning of option 2"):
        OptionScorer(qwen, [[5], [5, 6], [7]])
    with pytest.raises(InputError, match="two or more"):
        OptionScorer(qwen, [[5]])


def test_a_prompt_that_does_not_begin_as_the_others_is_refused(qwen):
    prompts = drawn_prompts(3, shared=20)
    scorer = OptionScorer(qwen, OPTIONS["single tokens"], shared=shared_beginning(prompts))
    with pytest.raises(InputError, match="does not go on after the 20 tokens"):
        scorer.score([[1, 2, 3]])


def test_the_shared_beginning_is_never_a_whole_prompt():
    assert shared_beginning([[1] * 20, [1] * 25]) == [1] * 19
    assert shared_beginning([[1] * 20]) == []
    assert shared_beginning([[1, 2, 3], [1, 2, 4]]) == []  # too short to be worth keeping
    assert shared_beginning([]) == []


def test_batches_hold_each_row_once_the_longest_first():
    batches = list(length_batches([3, 9, 5, 7, 1], 2))
    assert [batch.tolist() for batch in batches] == [[1, 3], [2, 0], [4]]
