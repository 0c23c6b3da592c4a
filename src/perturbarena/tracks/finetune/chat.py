"""One question → exactly what a model reads, and exactly what it is trained to write.

Training and answering call the same object, which travels with the model as ``prompt.json``; so a model is asked
in the words, the chat template and the tokens that it was trained on. The prompt and what follows are turned into
tokens apart, hence the tokens of the prompt are the same whether an answer follows or not, and the loss mask is
the border between the two.

A tokenizer without a chat template gets the plain text: system text, question and an empty line.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from perturbarena.challenge.formats import write_json
from perturbarena.challenge.records import Question
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError
from perturbarena.tracks.finetune.options import OPTION_TEXTS
from perturbarena.tracks.prompt.template import Template, cell_context, parse_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PROMPT_FILE: Final = "prompt.json"
"""Beside a trained model's weights: what it was asked with."""
FORMAT_VERSION: Final = 1
IGNORED: Final = -100
"""The label of a token that bears no loss."""
_OPENED: Final = "<think>"
_CLOSED: Final = "</think>"
_MARK: Final = "\u241eanswer\u241e"
"""Stands in for an answer while a chat template is looked at; no template holds it."""


class Encoded(NamedTuple):
    """The tokens of a prompt and of what is written after it."""

    prompt: list[int]
    completion: list[int]

    @property
    def input_ids(self) -> list[int]:
        """All tokens."""
        return self.prompt + self.completion

    @property
    def labels(self) -> list[int]:
        """All tokens, those of the prompt masked: the loss is on the answer alone."""
        return [IGNORED] * len(self.prompt) + self.completion


class OptionIds(NamedTuple):
    """The tokens that all three answers share, prompt included, and those of each answer after them."""

    prefix: list[int]
    options: tuple[list[int], list[int], list[int]]
    """Up, down, none. What follows the last difference is left off where it is common to all."""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """How every question is put to a model.

    Attributes
    ----------
    template
        A prompt template of the prompt track; its ``{examples}``, if there, stays empty.
    context
        What stands for ``{cell_context}``.
    system
        Text of the system message; empty for none.
    thinking
        Handed to the chat template as ``enable_thinking``; None hands nothing over.
    """

    template: Template
    context: str
    system: str = ""
    thinking: bool | None = None

    @classmethod
    def of(
        cls, template: Template, *, challenge: Challenge, system: str = "", thinking: bool | None = None
    ) -> ChatPrompt:
        """A prompt about the cells of a challenge."""
        return cls(template, cell_context(challenge.biology), system, thinking)

    def messages(self, question: Question) -> list[dict[str, str]]:
        """The chat, to the model's turn."""
        asked = self.template.render(pert=question.pert, gene=question.gene, cell_context=self.context)
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, {"role": "user", "content": asked}]

    def text(self, question: Question, tokenizer: PreTrainedTokenizerBase) -> str:
        """What the model reads, to the point where it begins to write."""
        return self.render(self.messages(question), tokenizer, turn=True)

    def ids(self, question: Question, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """The tokens of :meth:`text`."""
        return encode(self.text(question, tokenizer), tokenizer)

    def completion(
        self, answer: str, tokenizer: PreTrainedTokenizerBase, *, prompt: str, reasoning: str = ""
    ) -> str:
        """What the model is to write after ``prompt`` (a :meth:`text`): reasoning, answer, end of its turn.

        Where the prompt has opened a think block it is closed, also without reasoning; where the chat template
        knows such blocks, reasoning is put into one; else reasoning is the first paragraph.
        """
        return self.lead(tokenizer, prompt=prompt, reasoning=reasoning) + answer + self.turn_end(tokenizer)

    def lead(self, tokenizer: PreTrainedTokenizerBase, *, prompt: str, reasoning: str = "") -> str:
        """What stands between ``prompt`` and the answer; empty where there is no reasoning and no think block."""
        reasoning = reasoning.strip()
        if prompt.rstrip().endswith(_OPENED):
            return f"{reasoning}\n{_CLOSED}\n\n"
        if not reasoning:
            return ""
        if _OPENED in str(tokenizer.chat_template or ""):
            return f"{_OPENED}\n{reasoning}\n{_CLOSED}\n\n"
        return f"{reasoning}\n\n"

    def turn_end(self, tokenizer: PreTrainedTokenizerBase) -> str:
        """What ends the model's turn: what its chat template puts after an answer, or its end-of-text token."""
        end = ""
        if tokenizer.chat_template:
            chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
            end = self.render(chat, tokenizer, turn=False).partition(_MARK)[2].strip()
        return end or str(tokenizer.eos_token or "")

    def example(
        self, question: Question, answer: str, tokenizer: PreTrainedTokenizerBase, *, reasoning: str = ""
    ) -> Encoded:
        """A training example: the tokens of the prompt, and those of what is to be written."""
        prompt = self.text(question, tokenizer)
        completion = self.completion(answer, tokenizer, prompt=prompt, reasoning=reasoning)
        return Encoded(encode(prompt, tokenizer), encode(completion, tokenizer))

    def option_ids(
        self, question: Question, tokenizer: PreTrainedTokenizerBase, *, reasoning: str = ""
    ) -> OptionIds:
        """The three answers as tokens, split as in :meth:`example`: what they share, and each one's own."""
        found = [self.example(question, text, tokenizer, reasoning=reasoning) for text in OPTION_TEXTS]
        up, down, none = (one.completion for one in found)
        start = _shared(up, down, none)
        tail = _shared(*(one[start:][::-1] for one in (up, down, none)))
        own = [one[start : len(one) - tail] for one in (up, down, none)]
        if not all(own):  # one answer is the beginning of another: keep the token after it
            own = [one[start : len(one) - tail + 1] for one in (up, down, none)]
        return OptionIds(found[0].prompt + up[:start], (own[0], own[1], own[2]))

    def render(self, chat: list[dict[str, str]], tokenizer: PreTrainedTokenizerBase, *, turn: bool) -> str:
        """A chat as text; with ``turn``, to the point where the model begins to write."""
        if not tokenizer.chat_template:
            begin = str(tokenizer.bos_token or "") if getattr(tokenizer, "add_bos_token", False) else ""
            return begin + "".join(f"{message['content'].strip()}\n\n" for message in chat)
        extra = {} if self.thinking is None else {"enable_thinking": self.thinking}
        return str(
            tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=turn, **extra)  # pyright: ignore[reportArgumentType]
        )

    @property
    def kept(self) -> str:
        """What a submission hands in as its prompt: the system text, where there is one, and the template."""
        return f"{self.system}\n\n{self.template.text}" if self.system else self.template.text

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the messages."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Plain values, format version first."""
        return {
            "format_version": FORMAT_VERSION,
            "template": self.template.text,
            "source": self.template.source,
            "context": self.context,
            "system": self.system,
            "thinking": self.thinking,
        }

    def save(self, folder: Path) -> None:
        """Write ``prompt.json`` into a model's folder."""
        write_json(folder / PROMPT_FILE, self.as_json())


def load_prompt(folder: Path) -> ChatPrompt | None:
    """The prompt that a trained model's folder holds; None where it holds none.

    Raises
    ------
    FormatError
        If the file is not a prompt of this format's version.
    """
    path = folder / PROMPT_FILE
    if not path.is_file():
        return None
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        version = raw.pop("format_version")
        if version != FORMAT_VERSION:
            raise FormatError(f"{path} has format version {version}; this version reads {FORMAT_VERSION}")
        template = parse_template(raw.pop("template"), source=raw.pop("source"))
        return ChatPrompt(template, **raw)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{path} is not a model's prompt: {' '.join(str(error).split())}") from error


def encode(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Tokens of a rendered text, to which nothing is added: its chat template has put in all special tokens."""
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])  # pyright: ignore[reportArgumentType]


def _shared(*sequences: list[int]) -> int:
    """How many tokens all begin with."""
    count = 0
    for column in zip(*sequences, strict=False):
        if len(set(column)) > 1:
            break
        count += 1
    return count
