"""Sampling in this process: each row its own random numbers, the right distribution, limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from tests.tracks.finetune.writers import make_writer, short_chat, some_questions

from perturbarena.errors import InputError
from perturbarena.tracks.finetune.generate import Sampling, generate, own_sampling, row_seed
from perturbarena.tracks.finetune.models import load_model


@pytest.fixture(scope="module")
def writer(tmp_path_factory):
    return load_model(make_writer(tmp_path_factory.mktemp("writer")))


@pytest.fixture(scope="module")
def prompts(writer):
    chat = short_chat()
    return [chat.ids(question, writer.tokenizer) for question in some_questions()][:8]


def ask(loaded, prompts, seeds, **sampling):
    options = Sampling(**{"max_new_tokens": 24} | sampling)
    return generate(loaded.model, loaded.tokenizer, prompts, seeds=seeds, sampling=options)


def test_the_writer_writes_answers_that_can_be_read(writer, prompts):
    found = ask(writer, prompts, list(range(8)))
    assert all(one.stop_reason == "stop" for one in found)
    assert all("<answer>" in one.text and "<|im_end|>" not in one.text for one in found)
    assert all(one.n_tokens == len(one.ids) + 1 for one in found)


def test_a_row_is_answered_alike_in_any_company(writer, prompts):
    seeds = [row_seed(0, i) for i in range(len(prompts))]
    together = ask(writer, prompts, seeds, temperature=1.3, top_p=0.95, top_k=40)
    backwards = ask(writer, prompts[::-1], seeds[::-1], temperature=1.3, top_p=0.95, top_k=40)
    rows = zip(prompts, seeds, strict=True)
    alone = [ask(writer, [p], [s], temperature=1.3, top_p=0.95, top_k=40)[0] for p, s in rows]
    assert [one.ids for one in together] == [one.ids for one in backwards[::-1]] == [one.ids for one in alone]


def test_a_prompt_read_once_for_many_texts_gives_the_same_texts(writer, prompts):
    seeds = [row_seed(0, k) for k in range(12)]
    repeated = ask(writer, [p for p in prompts[:4] for _ in range(3)], seeds, temperature=1.3)
    once = generate(
        writer.model, writer.tokenizer, prompts[:4], seeds=seeds, samples=3,
        sampling=Sampling(max_new_tokens=24, temperature=1.3),
    )  # fmt: skip
    assert [one.ids for one in once] == [one.ids for one in repeated]


def test_other_seeds_give_other_texts(writer, prompts):
    texts = {tuple(ask(writer, prompts[:1], [row_seed(k, "x")], temperature=2.0)[0].ids) for k in range(6)}
    assert len(texts) > 1
    assert row_seed(0, "a", 1) != row_seed(0, "a1", "") != row_seed(1, "a", 0)
    assert 0 <= row_seed(5, "q") < 2**63


def test_tokens_are_drawn_from_the_softmax(writer, prompts):
    n, temperature = 3_000, 1.5
    with torch.inference_mode():
        logits = writer.model(input_ids=torch.tensor([prompts[0]])).logits[0, -1].double()
    expected = torch.softmax(logits / temperature, dim=-1).numpy()
    drawn = np.zeros_like(expected)
    for start in range(0, n, 1_000):
        rows = ask(
            writer, [prompts[0]] * 1_000, [row_seed(start + k) for k in range(1_000)], max_new_tokens=1,
            temperature=temperature,
        )  # fmt: skip
        ends = [i for i, row in enumerate(rows) if not row.ids]
        assert len(ends) < 1_000
        for row in rows:
            drawn[row.ids[0] if row.ids else writer.tokenizer.eos_token_id] += 1
    often = expected * n >= 5
    counts = np.append(drawn[often], drawn[~often].sum())
    wanted = np.append(expected[often], expected[~often].sum()) * n
    assert chisquare(counts, wanted * counts.sum() / wanted.sum()).pvalue > 1e-3


def test_temperature_zero_takes_the_likeliest_token(writer, prompts):
    found = ask(writer, prompts[:2], [1, 2], temperature=0.0)
    again = ask(writer, prompts[:2], [3, 4], temperature=0.0)
    assert [one.ids for one in found] == [one.ids for one in again]
    with torch.inference_mode():
        first = writer.model(input_ids=torch.tensor([prompts[0]])).logits[0, -1].argmax()
    assert found[0].ids[0] == int(first)


def test_what_is_cut_off_says_so(writer, prompts):
    (found,) = ask(writer, prompts[:1], [0], max_new_tokens=3)
    assert (found.stop_reason, found.n_tokens) == ("max_tokens", 3)


def test_more_tokens_than_the_model_holds_are_refused(writer, prompts):
    with pytest.raises(InputError, match=r"512 positions: lower --max-new-tokens to \d+"):
        ask(writer, prompts[:1], [0], max_new_tokens=600)


def test_a_models_own_advice_is_read(writer):
    assert own_sampling(writer.model) == {"temperature": 1.0, "top_p": 1.0, "top_k": 0}
    writer.model.generation_config.update(do_sample=True, temperature=0.6, top_p=0.95, top_k=20)
    try:
        assert own_sampling(writer.model) == {"temperature": 0.6, "top_p": 0.95, "top_k": 20}
    finally:
        writer.model.generation_config.update(do_sample=False, temperature=1.0, top_p=1.0, top_k=50)
