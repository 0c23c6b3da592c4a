"""Answers by likelihood: a loop over questions and options beside the shared-prefix scorer, and where time goes.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_likelihood.py [--questions 12] [--hidden 512] [--layers 8]
On a GPU: … --device cuda --dtype bfloat16 --size Qwen3-8B --questions 64 --peak 989

The model is Qwen3's architecture with random weights and a tokenizer made on the spot; what is measured does not
depend on what the weights say. Two prompts: the shipped one, in which the two genes stand early, and one that
begins with background text, in which they stand last. ``loop`` is the definition: every question with every
option, one at a time. ``batched loop`` gives it batches too, one pass an option. Rates and ratios are by processor
time of this process, which other work on the machine disturbs less (on a GPU by seconds); tokens are those of
prompts, once a question.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel, Qwen3Config, Qwen3ForCausalLM

from perturbarena.challenge.records import Question
from perturbarena.challenge.rules import load_challenge
from perturbarena.tracks.finetune import ChatPrompt, TinySettings, make_tiny_model
from perturbarena.tracks.finetune.costs import SIZES, ModelSize
from perturbarena.tracks.finetune.generate import Sampling, generate
from perturbarena.tracks.finetune.likelihood import (
    length_batches,
    naive_log_likelihoods,
    option_log_likelihoods,
    shared_beginning,
)
from perturbarena.tracks.finetune.models import LoadedModel, count_parameters, load_model
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.prompt import Template, parse_template, shipped_template

PERTS = ("Tlr4", "Stat1", "Irf3", "Nfkb1", "Zc3h13", "Arpc4", "Hdac9", "Polr2g")
GENES = ("Il6", "Cxcl10", "Actb", "Gapdh", "Slc37a2", "Ms4a6c", "Serpinb9", "Tnfrsf12a")
SYLLABLES = (["lo", "rin", "ka", "the", "mo", "sel", "ar", "ti"], ["gene", "cell", "path", "node", "lig", "ion"])
BACKGROUND_WORDS = 600


class Way(NamedTuple):
    """What one way of scoring took and gave."""

    name: str
    seconds: float
    cpu_s: float
    log_likelihood: np.ndarray
    computed: int

    @property
    def spent(self) -> float:
        """What counts: seconds on a GPU, processor time elsewhere."""
        return self.seconds if torch.cuda.is_available() else self.cpu_s


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--vocabulary", type=int, default=8_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--size", choices=[size.name for size in SIZES], help="a published size, random weights")
    parser.add_argument("--peak", type=float, help="TFLOP/s of the device, for the share of it that is reached")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        loaded = _model(Path(folder), options, rng)
    asked = [Question(f"{p}_{g}", p, g) for p in PERTS for g in GENES][: options.questions]
    print(
        f"{options.size or 'a small model'}: {count_parameters(loaded.model):,} parameters, "
        f"{loaded.model.config.num_hidden_layers} layers, width {loaded.model.config.hidden_size}, "
        f"{options.dtype}; {loaded.model.device}, {torch.get_num_threads()} thread(s); "
        f"{len(asked)} questions\n"
    )
    for title, template in (("shipped prompt", shipped_template("letter")), ("background first", _long(rng))):
        _compare(title, template, loaded, asked, options.peak)
    _generation(loaded, asked)
    _profile(loaded, asked)


def _model(folder: Path, options: argparse.Namespace, rng: np.random.Generator) -> LoadedModel:
    texts = [shipped_template("letter").text, *PERTS, *GENES, _background(rng)]
    settings = TinySettings(
        vocabulary=options.vocabulary, hidden=options.hidden, layers=options.layers, heads=8,
        intermediate=3 * options.hidden, positions=4096,
    )  # fmt: skip
    with quiet_loading():
        small = load_model(make_tiny_model(folder, texts, settings), device=options.device, dtype=options.dtype)
    size = next((size for size in SIZES if size.name == options.size), None)
    return small if size is None else replace(small, model=_random(size, options))


def _random(size: ModelSize, options: argparse.Namespace) -> PreTrainedModel:
    """A model of a published size; the small tokenizer's ids are the first of its vocabulary."""
    config = Qwen3Config(
        vocab_size=size.vocabulary, hidden_size=size.width, num_hidden_layers=size.layers, head_dim=128,
        num_attention_heads=size.query // 128, num_key_value_heads=size.key_value // 128,
        intermediate_size=size.feed_forward, tie_word_embeddings=size.tied,
    )  # fmt: skip
    with torch.device(options.device):
        return Qwen3ForCausalLM._from_config(config, dtype=getattr(torch, options.dtype)).eval()


def _background(rng: np.random.Generator) -> str:
    return " ".join("".join(rng.choice(part) for part in SYLLABLES) for _ in range(BACKGROUND_WORDS)) + "."


def _long(rng: np.random.Generator) -> Template:
    return parse_template(_background(rng) + "\n\n" + shipped_template("letter").text, source="background first")


def _compare(
    title: str, template: Template, loaded: LoadedModel, asked: list[Question], peak: float | None
) -> None:
    chat = ChatPrompt.of(template, challenge=load_challenge("bioreasoning-2026"))
    split = [chat.option_ids(question, loaded.tokenizer) for question in asked]
    prompts = [one.prefix for one in split]
    letters = list(split[0].options)
    whole = [[*ids, 0, 1, 2] for ids in letters]
    shared = len(shared_beginning(prompts))
    print(f"{title}: {min(map(len, prompts))} to {max(map(len, prompts))} tokens, {shared} shared by all\n")
    model = loaded.model
    both = (("letters: 1 token an option", letters), ("4 tokens an option", whole))
    for name, options in both if len(prompts[0]) < 512 else both[:1]:
        ways = [
            _timed("loop", lambda o=options: _naive(model, prompts, o)),
            _timed("batched loop, 16", lambda o=options: _batched(model, prompts, o, 16)),
            _timed("shared prefix, 1", lambda o=options: _fast(model, prompts, o, 1)),
            _timed("shared prefix, 16", lambda o=options: _fast(model, prompts, o, 16)),
        ]
        _print(name, ways, sum(map(len, prompts)))
        if torch.cuda.is_available() and peak:
            operations = 2 * count_parameters(model) * ways[-1].computed
            print(f"share of {peak:g} TFLOP/s, batches of 16: {operations / ways[-1].seconds / peak / 1e12:.1%}; ")
            print(f"highest memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB\n")


def _timed(name: str, score: Callable[[], tuple[np.ndarray, int]]) -> Way:
    score_began, cpu = time.perf_counter(), time.process_time()
    found, computed = score()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Way(name, time.perf_counter() - score_began, time.process_time() - cpu, found, computed)


def _naive(model, prompts, options) -> tuple[np.ndarray, int]:
    found = naive_log_likelihoods(model, prompts, options)
    return found.log_likelihood, found.tokens_computed


def _fast(model, prompts, options, size: int) -> tuple[np.ndarray, int]:
    found = option_log_likelihoods(model, prompts, options, batch_size=size)
    return found.log_likelihood, found.tokens_computed


def _batched(model, prompts, options, size: int) -> tuple[np.ndarray, int]:
    """The loop with batches: one pass an option over padded rows of prompt and option."""
    found, computed = np.zeros((len(prompts), len(options))), 0
    with torch.inference_mode():
        for batch in length_batches([len(p) for p in prompts], size):
            for k, option in enumerate(options):
                rows = [prompts[i] + option for i in batch]
                width = max(map(len, rows))
                ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
                mask = torch.tensor(
                    [[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device
                )
                log_p = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits[:, :-1].float(), dim=-1)
                own = log_p.gather(-1, ids[:, 1:, None])[..., 0]
                for row, i in enumerate(batch):
                    start = len(prompts[i]) - 1
                    found[i, k] = float(own[row, start : start + len(option)].double().sum())
                computed += ids.numel()
    return found, computed


def _print(name: str, ways: list[Way], n_tokens: int) -> None:
    loop = ways[0]
    print(f"| {name} | s | CPU s | prompt tokens/s | times the loop | tokens computed | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for way in ways:
        off = np.abs(way.log_likelihood - loop.log_likelihood).max()
        print(
            f"| {way.name} | {way.seconds:.2f} | {way.cpu_s:.2f} | {n_tokens / way.spent:,.0f} | "
            f"{loop.spent / way.spent:.1f} | {way.computed:,} | {off:.1e} |"
        )
    print()


def _generation(loaded: LoadedModel, asked: list[Question]) -> None:
    chat = ChatPrompt.of(shipped_template("letter"), challenge=load_challenge("bioreasoning-2026"))
    prompts = [chat.ids(question, loaded.tokenizer) for question in asked]
    print("| sampled texts of 32 tokens | s | CPU s | tokens written/CPU s |")
    print("|---|---|---|---|")
    for title, size, samples, repeated in (
        (f"{len(prompts)} questions, one at a time", 1, 1, 1),
        (f"{len(prompts)} questions, batches of 16", 16, 1, 1),
        ("4 questions, 8 texts each, every prompt read 8 times", 32, 1, 8),
        ("4 questions, 8 texts each, every prompt read once", 4, 8, 1),
    ):
        rows = [p for p in prompts[: None if repeated == samples == 1 else 4] for _ in range(repeated)]
        began, cpu, written = time.perf_counter(), time.process_time(), 0
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            texts = generate(
                loaded.model, loaded.tokenizer, batch, seeds=range(len(batch) * samples), samples=samples,
                sampling=Sampling(max_new_tokens=32),
            )  # fmt: skip
            written += sum(text.n_tokens for text in texts)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
        print(f"| {title} | {seconds:.2f} | {cpu_s:.2f} | {written / cpu_s:,.0f} |")
    print()


def _profile(loaded: LoadedModel, asked: list[Question]) -> None:
    """Shares of the scorer's own time, by kind of operation."""
    from torch.profiler import ProfilerActivity, profile

    chat = ChatPrompt.of(shipped_template("letter"), challenge=load_challenge("bioreasoning-2026"))
    split = [chat.option_ids(question, loaded.tokenizer) for question in asked]
    with profile(activities=[ProfilerActivity.CPU]) as found:
        option_log_likelihoods(loaded.model, [one.prefix for one in split], split[0].options)
    events = [(event.key, event.self_cpu_time_total) for event in found.key_averages()]
    total = sum(spent for _, spent in events)
    print("| operation (shared prefix, batches of 16) | share of time |")
    print("|---|---|")
    for name, spent in sorted(events, key=lambda event: -event[1])[:7]:
        print(f"| `{name}` | {spent / total:.0%} |")
    print(f"\ntokenising {len(asked)} prompts with their options: {_tokenising(chat, loaded, asked):.3f} s")


def _tokenising(chat: ChatPrompt, loaded: LoadedModel, asked: list[Question]) -> float:
    began = time.perf_counter()
    for question in asked:
        chat.option_ids(question, loaded.tokenizer)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
