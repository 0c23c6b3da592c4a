"""What a run would send, take and cost, before it sends anything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from perturbarena.challenge.records import Question, Questions
from perturbarena.tracks.prompt.prompts import Prompts
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.tokens import token_counter

N_SHOWN: Final = 3
"""So many prompts are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the caller expects of the model; nothing is known of it before the first call."""

    output_tokens: int = 1_000
    """Tokens written in a call, reasoning included."""
    tokens_per_second: float = 50.0
    """How fast the server writes for each of the concurrent calls."""
    price_in: float | None = None
    """Price of a million tokens read, in whatever currency."""
    price_out: float | None = None
    """Price of a million tokens written."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """The first prompts, and totals over all questions."""

    prompts: list[tuple[Question, str, int]]
    """Question, prompt, tokens."""
    counter: str
    n_questions: int
    n_calls: int
    longest: tuple[str, int]
    """Id and tokens of the longest prompt."""
    over_limit: int
    """Prompts above the track's limit."""
    limit: int | None
    input_tokens: int
    output_tokens: int
    seconds: float
    cost: float | None

    def as_json(self) -> dict[str, Any]:
        """The figures and the prompts."""
        shown = [{"id": q.id, "prompt": text, "tokens": n} for q, text, n in self.prompts]
        names = ("counter", "n_questions", "n_calls", "over_limit", "limit", "input_tokens", "output_tokens")
        return {
            "prompts": shown,
            **{name: getattr(self, name) for name in names},
            "longest": {"id": self.longest[0], "tokens": self.longest[1]},
            "seconds": round(self.seconds, 1),
            "cost": self.cost,
        }


def dry_run(
    questions: Questions, prompts: Prompts, settings: PromptSettings, transport: Transport, expected: Expectation
) -> DryRun:
    """Count tokens of every prompt and reckon calls, time and cost; nothing is sent."""
    counter = token_counter(settings.model)
    shown: list[tuple[Question, str, int]] = []
    total = over = 0
    longest = ("", 0)
    limit = settings.max_prompt_tokens
    for question in questions:
        text = prompts.text_of(question)
        count = counter.count(text)
        if len(shown) < N_SHOWN:
            shown.append((question, text, count))
        total += count
        longest = max(longest, (question.id, count), key=lambda pair: pair[1])
        over += limit is not None and count > limit
    n_seeds = len(settings.seeds)
    calls = len(questions) * n_seeds
    read, written = total * n_seeds, calls * expected.output_tokens
    rounds = math.ceil(calls / transport.concurrency)
    prices = (expected.price_in, expected.price_out)
    priced = None if prices == (None, None) else (read * (prices[0] or 0) + written * (prices[1] or 0)) / 1e6
    seconds = rounds * expected.output_tokens / expected.tokens_per_second
    return DryRun(shown, counter.name, len(questions), calls, longest, over, limit, read, written, seconds, priced)
