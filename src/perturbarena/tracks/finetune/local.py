"""A model in this process answers batches of questions: by likelihood, or by sampled texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from perturbarena import __version__
from perturbarena.challenge.records import Question, Questions
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.chat import ChatPrompt, encode
from perturbarena.tracks.finetune.generate import Generated, Sampling, generate, row_seed
from perturbarena.tracks.finetune.inference import InferenceSettings
from perturbarena.tracks.finetune.likelihood import OptionScorer, length_batches, shared_beginning
from perturbarena.tracks.finetune.models import LoadedModel
from perturbarena.tracks.finetune.options import OPTION_TEXTS
from perturbarena.tracks.finetune.runner import Work
from perturbarena.tracks.finetune.samples import (
    LIKELIHOOD,
    NO_TAG,
    Sample,
    read_scores,
    read_written,
    split_written,
    unread,
)
from perturbarena.tracks.prompt.reading import Written

_TAG = "<answer>"
"""Where the answer begins, in the options' own words."""


class LocalModel:
    """Answers the questions of one run.

    Batches are dealt from all questions, whatever is already answered, so that a run that was killed and goes on
    computes every answer in the company in which it would have been computed at once, to the same last bit.
    """

    def __init__(
        self, loaded: LoadedModel, chat: ChatPrompt, settings: InferenceSettings, questions: Questions
    ) -> None:
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        self._chat, self._settings = chat, settings
        self._questions = list(questions)
        lengths = [len(ids) for ids in self._prompts()]
        self._check_room(max(lengths))
        per_batch = max(1, settings.batch_size // settings.samples)
        self._batches = list(length_batches(lengths, per_batch))
        self.longest = max(lengths)
        """Tokens of the longest prompt."""
        if settings.written:
            self._sampling = Sampling(
                temperature=settings.temperature, top_p=settings.top_p, top_k=settings.top_k,
                max_new_tokens=settings.max_new_tokens,
            )  # fmt: skip
            self._letters = OptionScorer(self._model, _without_common_end([self._ids(t) for t in OPTION_TEXTS]))
        else:
            split = chat.option_ids(self._questions[0], self._tokenizer)
            first = chat.ids(self._questions[0], self._tokenizer)
            self._lead = split.prefix[len(first) :]
            self._scorer = OptionScorer(self._model, split.options, shared=shared_beginning(self._prompts()))

    @property
    def batches(self) -> list[list[Question]]:
        """All questions, in the batches in which they are answered."""
        return [[self._questions[i] for i in batch] for batch in self._batches]

    def prompt(self, question: Question) -> str:
        """What the model reads, chat template included."""
        return self._chat.text(question, self._tokenizer)

    def answer(self, questions: Questions, work: Work) -> None:
        """Answer every batch that has a question left; all of a batch is computed, what is left is kept."""
        del questions  # they were dealt into batches at the start
        counts = work.progress.counts
        for batch in self.batches:
            if not any(work.is_left(question) for question in batch):
                continue
            for question, samples in zip(batch, self.answer_batch(batch), strict=True):
                counts.calls += len(samples)
                counts.input_tokens += sum(sample.prompt_tokens for sample in samples)
                counts.output_tokens += sum(sample.output_tokens for sample in samples)
                for sample in samples:
                    counts.unanswered.update([sample.reading.reason] if sample.reading.reason else [])
                if work.is_left(question):
                    work.done(question, self.prompt(question), [sample.as_json() for sample in samples])

    def as_json(self) -> dict[str, Any]:
        """Where and with what it runs, for the manifest."""
        import platform

        import torch
        import transformers

        device = self._model.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or "cpu"
        return {
            "device": str(device),
            "device_name": name,
            "threads": torch.get_num_threads(),
            "longest_prompt": self.longest,
            "versions": {
                "perturbarena": __version__,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "python": platform.python_version(),
            },
        }

    def answer_batch(self, batch: Sequence[Question]) -> list[list[Sample]]:
        """The samples of each question of a batch.

        Raises
        ------
        InputError
            If the batch does not fit into the device's memory.
        """
        import torch

        try:
            return self._sampled(batch) if self._settings.written else self._scored(batch)
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"a batch of {self._settings.batch_size} rows does not fit into the memory of "
                f"{self._model.device}; give a smaller --batch-size"
            ) from error

    def _prompts(self) -> Iterator[list[int]]:
        for question in self._questions:
            yield self._chat.ids(question, self._tokenizer)

    def _ids(self, text: str) -> list[int]:
        return encode(text, self._tokenizer)

    def _check_room(self, longest: int) -> None:
        room = getattr(self._model.config, "max_position_embeddings", None)
        new = max(self._settings.max_new_tokens, 16)
        if isinstance(room, int) and longest + new > room:
            raise InputError(
                f"the longest prompt has {longest:,} tokens and {new:,} may follow; the model has "
                f"{room:,} positions: lower --max-new-tokens to {max(room - longest, 0):,}, or shorten the prompt"
            )

    def _scored(self, batch: Sequence[Question]) -> list[list[Sample]]:
        prompts = [self._chat.ids(question, self._tokenizer) + self._lead for question in batch]
        scores = self._scorer.score(prompts)
        return [
            [
                Sample(
                    seed=self._settings.seed, reading=read_scores(row, LIKELIHOOD), written=Written(""),
                    stop_reason="scored", prompt_tokens=len(prompt), log_likelihood=_three(row),
                )
            ]
            for prompt, row in zip(prompts, scores.log_likelihood, strict=True)
        ]  # fmt: skip

    def _sampled(self, batch: Sequence[Question]) -> list[list[Sample]]:
        seeds = self._settings.seeds
        texts = [self.prompt(question) for question in batch]
        prompts = [self._ids(text) for text in texts]
        rows = [(i, seed) for i in range(len(batch)) for seed in seeds]
        written = generate(
            self._model, self._tokenizer, prompts, seeds=[row_seed(seed, batch[i].id) for i, seed in rows],
            sampling=self._sampling, samples=len(seeds),
        )  # fmt: skip
        samples = [
            self._sample(found, seed, texts[i], len(prompts[i]))
            for found, (i, seed) in zip(written, rows, strict=True)
        ]
        if self._settings.answers == "logprobs":
            samples = self._with_letters(samples, written, [prompts[i] for i, _ in rows])
        return [samples[k : k + len(seeds)] for k in range(0, len(samples), len(seeds))]

    def _sample(self, found: Generated, seed: int, prompt: str, n_prompt: int) -> Sample:
        written = split_written(found.text, prompt=prompt)
        return Sample(
            seed=seed, reading=read_written(written, self._settings), written=written,
            stop_reason=found.stop_reason, prompt_tokens=n_prompt, output_tokens=found.n_tokens,
        )  # fmt: skip

    def _with_letters(
        self, samples: list[Sample], written: Sequence[Generated], prompts: Sequence[list[int]]
    ) -> list[Sample]:
        """Probabilities of the three letters where each text begins its answer."""
        tagged = [k for k, sample in enumerate(samples) if _TAG in sample.written.content]
        found = [replace(sample, reading=unread(sample.reading.reason or NO_TAG)) for sample in samples]
        if tagged:
            before = [prompts[k] + self._ids(written[k].text.rpartition(_TAG)[0]) for k in tagged]
            for k, row in zip(tagged, self._letters.score(before).log_likelihood, strict=True):
                found[k] = replace(samples[k], reading=read_scores(row, "logprobs"), log_likelihood=_three(row))
        return found


def _three(row: np.ndarray) -> tuple[float, float, float]:
    up, down, none = (float(value) for value in row)
    return up, down, none


def _without_common_end(options: Sequence[list[int]]) -> list[list[int]]:
    """The options without the tokens that they all end with; those follow whichever letter was chosen."""
    n = 0
    while len({option[-n - 1] for option in options}) == 1 and n + 1 < min(map(len, options)):
        n += 1
    return [option[: len(option) - n] for option in options]
