"""One server and every request to it: what is made again, what is waited for, what ends a call or the run.

inspect's own retrying is switched off: it would repeat for hours without a word. What happens here instead:

===============================  ===============================================================================
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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import anyio
import openai
from inspect_ai.model import ModelOutput
from inspect_ai.model._model import ModelGenerateError  # not exported; carries the server's status
from tenacity import RetryError

from perturbarena.errors import ModelServerError
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.meter import Meter
from perturbarena.tracks.running.progress import Counts

PATIENCE: Final = 300.0
"""Seconds without any answer after which an unreachable server counts as gone: a restart takes less."""
TRANSPORT: Final = "transport:"
"""Begins the reason of a call that no model has answered; such calls are made again on the next start."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_LONGEST_RETRY_AFTER: Final = 300.0
_HOPELESS: Final = (401, 403, 404)
_AGAIN: Final = (408, 409, 425, 429)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request without an answer. ``final``: it shall not be made again."""

    kind: str
    reason: str
    retry_after: float | None = None
    final: bool = False


@dataclass(slots=True)
class Failures:
    """The failures of one call: ``counted`` against its attempts, the last one ``since``."""

    since: float = field(default_factory=time.monotonic)
    kinds: list[str] = field(default_factory=list)
    counted: int = 0


class Usage(NamedTuple):
    """Tokens of one request by the server's count: read (cached ones too), written, and the server's total."""

    read: int = 0
    written: int = 0
    total: int = 0


class Server:
    """Makes the requests of all questions, and knows how their server is doing."""

    def __init__(
        self, transport: Transport, *, counts: Counts, patience: float = PATIENCE, meter: Meter | None = None
    ) -> None:
        self.counts = counts
        self._transport, self._patience, self._meter = transport, patience, meter or Meter()
        self._limiter = anyio.CapacityLimiter(transport.concurrency)
        self._opened = anyio.Event()
        self._probing = False
        self._last_sign = time.monotonic()
        self._jitter = random.Random(0)
        self.fatal: ModelServerError | None = None
        self.gone = False

    async def enter(self) -> None:
        """The first question goes ahead of all others until its first request has an outcome, so that a wrong
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

    def open(self) -> None:
        """Let the other questions in."""
        self._opened.set()

    async def send(
        self, request: Callable[[], Awaitable[ModelOutput]], failures: Failures
    ) -> ModelOutput | Failure:
        """Make a request until it is answered, or shall not be made again; failures on the way are noted.

        Raises
        ------
        ModelServerError
            If the server refuses every call.
        """
        last = _GONE
        while not self.gone:
            outcome = await self._once(request)
            if isinstance(outcome, ModelOutput):
                return outcome
            self.open()
            self.counts.failures[outcome.kind] += 1
            last = outcome
            if not await self._pause(outcome, failures):
                break
        return last

    def usage(self, output: ModelOutput) -> Usage:
        """The tokens of an answer, which are also counted for the run."""
        used = usage_of(output)
        self.counts.input_tokens += used.read
        self.counts.output_tokens += used.written
        return used

    async def _once(self, request: Callable[[], Awaitable[ModelOutput]]) -> ModelOutput | Failure:
        async with self._limiter:
            if self.gone:
                return _GONE
            if not self._meter.begin():
                return _SPENT
            self.counts.calls += 1
            tokens = 0
            try:
                with anyio.fail_after(self._transport.timeout):
                    output = await request()
                tokens = usage_of(output).total
            except TimeoutError:
                return Failure("timeout", f"{TRANSPORT}timeout")
            except RetryError as error:
                return _failure(error.last_attempt.exception())
            except (openai.APIStatusError, ModelGenerateError) as error:
                return _failure(error)
            except (ValueError, TypeError, openai.APIError) as error:
                # a reply with status 200 that is no completion: cut-off JSON, a body without choices
                return Failure("malformed", f"{TRANSPORT}malformed reply ({type(error).__name__})")
            finally:
                self._meter.end(tokens)
        self._last_sign = time.monotonic()
        return output

    async def _pause(self, failure: Failure, failures: Failures) -> bool:
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


_GONE: Final = Failure("gone", f"{TRANSPORT}server_gone", final=True)
SPENT: Final = f"{TRANSPORT}budget_spent"
"""The reason of a call that a budget had no room for."""
_SPENT: Final = Failure("budget_spent", SPENT, final=True)


def usage_of(output: ModelOutput) -> Usage:
    """The tokens of an answer by the server's count; zeros where it did not say."""
    used = output.usage
    if used is None:
        return Usage()
    read = used.input_tokens + (used.input_tokens_cache_read or 0) + (used.input_tokens_cache_write or 0)
    return Usage(read, used.output_tokens, used.total_tokens or read + used.output_tokens)


def _failure(error: BaseException | None) -> Failure:
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        kind = "timeout" if isinstance(error, openai.APITimeoutError) else "connection"
        return Failure(kind, f"{TRANSPORT}{kind}")
    if status in _HOPELESS:
        raise ModelServerError(
            f"the model's server refuses every call: HTTP {status}, {_message(error)}"
        ) from error
    if status < 500 and status not in _AGAIN:
        return Failure(f"http_{status}", f"refused: HTTP {status}, {_message(error)}", final=True)
    headers = getattr(getattr(error, "response", None), "headers", {})
    return Failure(f"http_{status}", f"{TRANSPORT}http_{status}", _seconds(headers.get("retry-after")))


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:  # a date, which servers of models do not send
        return None


def _message(error: BaseException | None) -> str:
    said = getattr(error, "provider_message", None) or str(error)
    return " ".join(str(said).split())[:200]
