"""One question → its seeded calls, made at once, each of them ending answered or with a reason.

An empty or unreadable answer is asked for again up to ``retries`` times, then recorded as unanswered; inspect
would not ask again at all. Requests that fail are :mod:`perturbarena.tracks.running.server`'s concern.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput

from perturbarena.errors import ModelServerError
from perturbarena.tracks.prompt.logprobs import Token
from perturbarena.tracks.prompt.reading import NO_LOGPROBS, Reading, Written, read_answer
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.model import call_config
from perturbarena.tracks.running.server import Failure, Failures, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """How one call ended. ``reason`` is empty where it was answered; counts are the answering request's own."""

    seed: int
    reading: Reading
    written: Written = field(default_factory=lambda: Written(""))
    stop_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    rejected: tuple[str, ...] = ()
    """Why earlier answers of this call were not taken."""
    failures: tuple[str, ...] = ()
    """Requests of this call that failed."""
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        """True where there are probabilities."""
        return not self.reading.reason

    def as_json(self) -> dict[str, Any]:
        """For the trace."""
        return {
            "seed": self.seed,
            "answered": self.answered,
            **(self.reading.as_json() if self.answered else {"reason": self.reading.reason}),
            "reasoning": self.written.reasoning,
            "content": self.written.content,
            "stop_reason": self.stop_reason,
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
            "rejected": list(self.rejected),
            "failures": list(self.failures),
            "seconds": round(self.seconds, 3),
        }


class Caller:
    """Makes the calls of all questions on one model."""

    def __init__(self, settings: PromptSettings, server: Server) -> None:
        self._settings, self.server = settings, server

    async def ask(
        self, model: Model, prompt: str | list[ChatMessage], *, id_: str, seeds: Sequence[int]
    ) -> list[CallRecord]:
        """One call for each seed, concurrently; the first question goes ahead.

        Raises
        ------
        ModelServerError
            If no question can be answered this way.
        """
        await self.server.enter()
        records: dict[int, CallRecord] = {}

        async def one(seed: int) -> None:
            try:
                records[seed] = await self._call(model, prompt, id_=id_, seed=seed)
            except ModelServerError as error:
                self.server.fatal = self.server.fatal or error
                group.cancel_scope.cancel()
            finally:
                self.server.open()

        async with anyio.create_task_group() as group:
            for seed in seeds:
                group.start_soon(one, seed)
        if self.server.fatal is not None:
            raise self.server.fatal
        return [records[seed] for seed in seeds]

    async def _call(self, model: Model, prompt: str | list[ChatMessage], *, id_: str, seed: int) -> CallRecord:
        began = time.monotonic()
        rejected: list[str] = []
        failures = Failures(since=began)
        config: GenerateConfig = call_config(self._settings, user=id_, seed=seed)
        while True:
            outcome = await self.server.send(lambda: model.generate(prompt, config=config), failures)
            if isinstance(outcome, Failure):
                record = CallRecord(seed=seed, reading=_unanswered(outcome.reason))
                break
            record = self._read(outcome, seed=seed, id_=id_)
            self.server.open()
            if record.answered or len(rejected) >= self._settings.retries:
                break
            rejected.append(record.reading.reason)
        if record.answered:
            self.server.counts.answered += 1
        else:
            self.server.counts.unanswered[record.reading.reason] += 1
        seconds = time.monotonic() - began
        return replace(record, rejected=tuple(rejected), failures=tuple(failures.kinds), seconds=seconds)

    def _read(self, output: ModelOutput, *, seed: int, id_: str) -> CallRecord:
        written = written_by(output)
        usage = self.server.usage(output)
        self._check_prompt(usage.read, id_)
        reading = read_answer(written, self._settings.answers)
        if reading.reason == NO_LOGPROBS:
            raise ModelServerError(
                f"--answers logprobs needs log probabilities with alternatives, and {self._settings.model} sent "
                f"none (question {id_}); ask the server for them, or choose --answers stated or label"
            )
        if reading.reason:
            self.server.counts.empty[reading.reason] += 1
        return CallRecord(
            seed=seed,
            reading=reading,
            written=replace(written, tokens=None),
            stop_reason=str(output.stop_reason),
            prompt_tokens=usage.read,
            output_tokens=usage.written,
            total_tokens=usage.total,
        )

    def _check_prompt(self, read: int, id_: str) -> None:
        limit = self._settings.max_prompt_tokens
        if self._settings.ranked and limit is not None and read > limit:
            raise ModelServerError(
                f"the prompt of {id_} has {read:,} tokens by the server's count; track {self._settings.track} "
                f"allows {limit:,}; shorten it, or set --unranked"
            )


def _unanswered(reason: str) -> Reading:
    return Reading("", 0.0, 0.0, "", reason=reason)


def written_by(output: ModelOutput) -> Written:
    """The text, the reasoning and the tokens of an answer.

    The log probabilities are taken off the output: twenty alternatives a token would fill memory and log.
    """
    if not output.choices:
        return Written("")
    choice = output.choices[0]
    parts = choice.message.content
    if isinstance(parts, str):
        content, reasoning = parts, ""
    else:
        content = "\n".join(part.text for part in parts if part.type == "text")
        reasoning = "\n".join(part.reasoning for part in parts if part.type == "reasoning")
    tokens = None
    if choice.logprobs is not None:
        tokens = [
            Token(
                one.token,
                [*((top.token, top.logprob) for top in one.top_logprobs or ()), (one.token, one.logprob)],
            )
            for one in choice.logprobs.content
        ]
        choice.logprobs = None
    return Written(content, reasoning, tokens)
