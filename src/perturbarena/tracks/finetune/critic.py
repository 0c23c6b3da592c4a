"""A critic: a model that reads a question and an answer with its reasoning, and says how likely it is right.

It is a causal model like the others, asked for a verdict in its own prompt and scored by the likelihood of the two
verdicts, so it is trained by the same code. It learns from recorded answers to training rows alone. Those should
come from a model that has not learned these rows (the base, or one trained on other folds): a model's answers to
rows that it knows by heart are nearly all right, and a critic has nothing to learn from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Question
from perturbarena.errors import InputError
from perturbarena.stats.auroc import auroc
from perturbarena.tracks.finetune.chat import ChatPrompt, Encoded, encode, load_prompt
from perturbarena.tracks.finetune.examples import Example
from perturbarena.tracks.finetune.likelihood import option_log_likelihoods
from perturbarena.tracks.finetune.models import LoadedModel, load_model
from perturbarena.tracks.finetune.options import VERDICT_ASKED, VERDICT_TEXTS, VERDICTS
from perturbarena.tracks.finetune.traces import Trace

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RIGHT, WRONG = VERDICTS


def verdict_text(prompt: ChatPrompt, question: Question, proposed: str, tokenizer: PreTrainedTokenizerBase) -> str:
    """What the critic reads: the question as the answering model was asked, the answer, and what is wanted."""
    chat = prompt.messages(question)
    asked = chat[-1]["content"].rstrip() + VERDICT_ASKED.format(proposed=proposed.strip())
    return prompt.render([*chat[:-1], {"role": "user", "content": asked}], tokenizer, turn=True)


def verdict_example(prompt: ChatPrompt, example: Example, tokenizer: PreTrainedTokenizerBase) -> Encoded:
    """A training example of a critic as tokens."""
    text = verdict_text(prompt, example.question, example.proposed, tokenizer)
    completion = prompt.completion(example.answer, tokenizer, prompt=text)
    return Encoded(encode(text, tokenizer), encode(completion, tokenizer))


def critic_examples(rows: LabelledQuestions, traces: Sequence[Trace]) -> list[Example]:
    """Recorded answers to these rows, each with its verdict.

    Raises
    ------
    InputError
        If the answers are not of both kinds.
    """
    question = {q.id: q for q in rows.questions}
    found = [
        Example(
            question[trace.id],
            RIGHT if trace.right else WRONG,
            VERDICT_TEXTS[0 if trace.right else 1],
            proposed=trace.text,
        )
        for trace in traces
        if trace.id in question
    ]
    n_right = sum(example.label == RIGHT for example in found)
    if not 0 < n_right < len(found):
        raise InputError(
            f"a critic needs right and wrong answers to training rows; data.traces hold {n_right:,} right ones "
            f"and {len(found) - n_right:,} wrong ones"
        )
    return found


def judge(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: ChatPrompt,
    asked: Sequence[tuple[Question, str]],
    *,
    batch_size: int,
) -> np.ndarray:
    """Probability that each (question, answer) is right, shape (n,), float64."""
    if not asked:
        return np.zeros(0)
    trained = model.training
    model.eval()
    try:
        texts = [verdict_text(prompt, question, proposed, tokenizer) for question, proposed in asked]
        options = [encode(prompt.completion(v, tokenizer, prompt=texts[0]), tokenizer) for v in VERDICT_TEXTS]
        prompts = [encode(text, tokenizer) for text in texts]
        return option_log_likelihoods(model, prompts, options, batch_size=batch_size).probability[:, 0]
    finally:
        model.train(trained)


def verdict_auroc(examples: Sequence[Example], p_right: np.ndarray) -> float:
    """How often a right answer is found likelier than a wrong one."""
    return auroc(np.array([example.label == RIGHT for example in examples], bool), p_right)


@dataclass(frozen=True, slots=True)
class Critic:
    """A trained critic, ready to judge."""

    loaded: LoadedModel
    prompt: ChatPrompt
    batch_size: int = 8

    def score(self, questions: Sequence[Question], answers: Sequence[str]) -> np.ndarray:
        """Probability that each answer, given with its reasoning, is right, shape (n,), in [0, 1]."""
        pairs = list(zip(questions, answers, strict=True))
        return judge(self.loaded.model, self.loaded.tokenizer, self.prompt, pairs, batch_size=self.batch_size)

    def provenance(self) -> dict[str, Any]:
        """Which critic it is: model, hashes, prompt."""
        return {"model": self.loaded.identity.as_json(), "prompt_sha256": self.prompt.digest}


def load_critic(folder: Path | str, *, device: str | None = None, batch_size: int = 8) -> Critic:
    """A critic from the folder of ``train critic``.

    Raises
    ------
    InputError
        If the folder holds no model with its prompt.
    """
    loaded = load_model(folder, device=device)
    prompt = load_prompt(loaded.folder)
    if prompt is None:
        raise InputError(f"{folder} holds no critic: its model has no prompt.json; train one with train critic")
    return Critic(loaded, prompt, batch_size)
