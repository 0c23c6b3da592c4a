"""One question → its seeded calls, made at once, each of them ending answered or with a reason.

inspect's own retrying is switched off: it would repeat for hours without a word, and an empty answer not at all.
What happens here instead:

===============================  ===============================================================================
empty or unreadable answer       asked again up to ``retries`` times, then recorded as unanswered
HTTP 429                         waits as long as the server says (Retry-After), 4 × ``attempts`` times
HTTP 408, 409, 5xx, stalls       made again after a growing pause, ``attempts`` times
no connection                    tried until the server is back; after ``PATIENCE`` seconds without any answer
                                 from it, it counts as gone and what is left is recorded without being sent
HTTP 401, 403, 404               stops the run: no question could be answered
other HTTP 4xx                   recorded: this question cannot be answered
===============================  ===============================================================================
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import anyio
import openai
from inspect_ai.model import GenerateConfig, Model, ModelOutput
from inspect_ai.model._model import ModelGenerateError  # not exported; carries the server's status
from tenacity import RetryError

from perturbarena.errors import ModelServerError
from perturbarena.tracks.prompt.logprobs import Token
from perturbarena.tracks.prompt.progress import Counts
from perturbarena.tracks.prompt.reading import NO_LOGPROBS, Reading, Written, read_answer
from perturbarena.tracks.prompt.settings import PromptSettings, Transport

PATIENCE: Final = 300.0
"""Seconds without any answer after which an unreachable server counts as gone: a restart takes less."""
TRANSPORT: Final = "transport:"
"""Begins the reason of a call that no model has answered; such calls are made again on the next start."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_LONGEST_RETRY_AFTER: Final = 300.0
EXTRA_BODY: Final = ("openai-api", "vllm", "sglang")
"""Providers whose requests take further fields."""
_HOPELESS: Final = (401, 403, 404)
_AGAIN: Final = (408, 409, 425, 429)


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
    """Makes the calls of all questions on one model, and knows how its server is doing."""

    def __init__(
        self, settings: PromptSettings, transport: Transport, *, counts: Counts, patience: float = PATIENCE
    ) -> None:
        self._settings, self._transport, self._counts, self._patience = settings, transport, counts, patience
        self._limiter = anyio.CapacityLimiter(transport.concurrency)
        self._opened = anyio.Event()
        self._probing = False
        self._last_sign = time.monotonic()
        self._jitter = random.Random(0)
        self.fatal: ModelServerError | None = None
        self.gone = False

    async def ask(self, model: Model, prompt: str, *, id_: str, seeds: Sequence[int]) -> list[CallRecord]:
        """One call for each seed, concurrently.

        The first question goes ahead of all others until its first request has an outcome, so that a wrong
        address, a missing key or a prompt that is too long costs one question's calls and not hundreds.

        Raises
        ------
        ModelServerError
            If no question can be answered this way.
        """
        if self._probing:
            await self._opened.wait()
        self._probing = True
        if self.fatal is not None:
            raise self.fatal
        records: dict[int, CallRecord] = {}

        async def one(seed: int) -> None:
            try:
                records[seed] = await self._call(model, prompt, id_=id_, seed=seed)
            except ModelServerError as error:
                self.fatal = self.fatal or error
                group.cancel_scope.cancel()
            finally:
                self._opened.set()

        async with anyio.create_task_group() as group:
            for seed in seeds:
                group.start_soon(one, seed)
        if self.fatal is not None:
            raise self.fatal
        return [records[seed] for seed in seeds]

    async def _call(self, model: Model, prompt: str, *, id_: str, seed: int) -> CallRecord:
        began = time.monotonic()
        rejected: list[str] = []
        failures = _Failures(since=began)
        record = CallRecord(seed=seed, reading=_unanswered(f"{TRANSPORT}server_gone"))
        while not self.gone:
            outcome = await self._request(model, prompt, _per_call(self._settings, id_=id_, seed=seed))
            if isinstance(outcome, _Failure):
                self._opened.set()
                self._counts.failures[outcome.kind] += 1
                record = CallRecord(seed=seed, reading=_unanswered(outcome.reason))
                if not await self._pause(outcome, failures):
                    break
                continue
            record = self._read(outcome, seed=seed, id_=id_)
            self._opened.set()
            if record.answered or len(rejected) >= self._settings.retries:
                break
            rejected.append(record.reading.reason)
        if record.answered:
            self._counts.answered += 1
        else:
            self._counts.unanswered[record.reading.reason] += 1
        seconds = time.monotonic() - began
        return replace(record, rejected=tuple(rejected), failures=tuple(failures.kinds), seconds=seconds)

    async def _request(self, model: Model, prompt: str, config: GenerateConfig) -> ModelOutput | _Failure:
        """One request; what can be made again, or concerns this question only, comes back as a failure."""
        async with self._limiter:
            if self.gone:
                return _Failure("gone", f"{TRANSPORT}server_gone", final=True)
            self._counts.calls += 1
            try:
                with anyio.fail_after(self._transport.timeout):
                    output = await model.generate(prompt, config=config)
            except TimeoutError:
                return _Failure("timeout", f"{TRANSPORT}timeout")
            except RetryError as error:
                return _failure(error.last_attempt.exception())
            except (openai.APIStatusError, ModelGenerateError) as error:
                return _failure(error)
        self._last_sign = time.monotonic()
        return output

    async def _pause(self, failure: _Failure, failures: _Failures) -> bool:
        """Wait before the next request; False where there shall be none."""
        failures.kinds.append(failure.kind)
        now = time.monotonic()
        unheard = failure.kind in ("connection", "timeout")
        patience = self._patience + (2 * self._transport.timeout if failure.kind == "timeout" else 0.0)
        if not unheard:
            self._last_sign = now
        elif now - self._last_sign > patience:
            self.gone = True
        # while nobody gets through, the server is being restarted, and this call is not to blame
        failures.counted += failure.kind != "connection" or self._last_sign > failures.since
        failures.since = now
        most = self._transport.attempts * (4 if failure.kind == "http_429" else 1)
        if failure.final or self.gone or failures.counted >= most:
            return False
        growing = _FIRST_PAUSE * 2.0 ** min(len(failures.kinds) - 1, 10) * self._jitter.uniform(0.75, 1.25)
        pause = min(growing, _LONGEST_PAUSE) if failure.retry_after is None else failure.retry_after
        await anyio.sleep(min(pause, _LONGEST_RETRY_AFTER))
        return True

    def _read(self, output: ModelOutput, *, seed: int, id_: str) -> CallRecord:
        written = written_by(output)
        usage = output.usage
        read = 0
        if usage is not None:
            read = (
                usage.input_tokens + (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
            )
            self._counts.input_tokens += read
            self._counts.output_tokens += usage.output_tokens
        self._check_prompt(read, id_)
        reading = read_answer(written, self._settings.answers)
        if reading.reason == NO_LOGPROBS:
            raise ModelServerError(
                f"--answers logprobs needs log probabilities with alternatives, and {self._settings.model} sent "
                f"none (question {id_}); ask the server for them, or choose --answers stated or label"
            )
        if reading.reason:
            self._counts.empty[reading.reason] += 1
        return CallRecord(
            seed=seed,
            reading=reading,
            written=replace(written, tokens=None),
            stop_reason=str(output.stop_reason),
            prompt_tokens=read,
            output_tokens=usage.output_tokens if usage else 0,
            total_tokens=(usage.total_tokens or read + usage.output_tokens) if usage else 0,
        )

    def _check_prompt(self, read: int, id_: str) -> None:
        limit = self._settings.max_prompt_tokens
        if self._settings.ranked and limit is not None and read > limit:
            raise ModelServerError(
                f"the prompt of {id_} has {read:,} tokens by the server's count; track {self._settings.track} "
                f"allows {limit:,}; shorten it, or set --unranked"
            )


@dataclass(frozen=True, slots=True)
class _Failure:
    kind: str
    reason: str
    retry_after: float | None = None
    final: bool = False


@dataclass(slots=True)
class _Failures:
    """The failures of one call: ``counted`` against its attempts, the last one ``since``."""

    since: float
    kinds: list[str] = field(default_factory=list)
    counted: int = 0


def _failure(error: BaseException | None) -> _Failure:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        kind = "timeout" if isinstance(error, openai.APITimeoutError) else "connection"
        return _Failure(kind, f"{TRANSPORT}{kind}")
    if status in _HOPELESS:
        raise ModelServerError(
            f"the model's server refuses every call: HTTP {status}, {_message(error)}"
        ) from error
    if status < 500 and status not in _AGAIN:
        return _Failure(f"http_{status}", f"refused: HTTP {status}, {_message(error)}", final=True)
    headers = getattr(getattr(error, "response", None), "headers", {})
    return _Failure(f"http_{status}", f"{TRANSPORT}http_{status}", _seconds(headers.get("retry-after")))


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:  # a date, which servers of models do not send
        return None


def _message(error: BaseException | None) -> str:
    said = getattr(error, "provider_message", None) or str(error)
    return " ".join(str(said).split())[:200]


def _per_call(settings: PromptSettings, *, id_: str, seed: int) -> GenerateConfig:
    """What differs between calls. ``user`` carries the question's id, so that a server's log can be matched."""
    provider = settings.model.split("/", 1)[0]
    limit = settings.max_completion_tokens
    # inspect names the limit max_tokens for models it does not know, which reasoning servers read differently
    extra: dict[str, Any] = {}
    if limit and provider in EXTRA_BODY:
        extra["max_completion_tokens"] = limit
    if provider == "openai-api":
        extra["user"] = id_
    return GenerateConfig(seed=seed, max_retries=0, extra_body=extra or None)


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
