"""The fake model's server: routes, faults, counts.

It exists so that everything around a model can be tested without one: retries, resuming, speed, and what becomes
of an empty answer. It counts its calls itself, so that a test need not believe the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import IO, Any, Final

from perturbarena.errors import InputError
from perturbarena.tracks.models.completion import GARBLE, Answer, as_stream, completion, invent, split_trace
from perturbarena.tracks.models.conversation import Conversation, UnanswerableError, draw, read_conversation
from perturbarena.tracks.models.http_server import Connection, Request
from perturbarena.tracks.models.planted import Planted, is_reflection, proposed, read_proposals, read_truth
from perturbarena.tracks.models.replay import Recording, read_recording, read_texts
from perturbarena.tracks.models.script import Script, read_script, scripted
from perturbarena.tracks.models.settings import FakeSettings

OUTCOMES: Final = ("answered", "empty", "garbled", "failed", "rate_limited", "refused", "abandoned")
"""How a call can end. ``refused``: HTTP 400. ``abandoned``: the client hung up before the reply."""
DIED: Final = 3
"""Exit code of a server that ends on purpose (``die_after``)."""
KEPT_REQUESTS: Final = 1000
"""So many of the last requests' bodies can be looked at."""

_STATUS: Final = {"failed": 500, "rate_limited": 429, "refused": 400}


@dataclasses.dataclass(frozen=True, slots=True)
class _Call:
    """One request on its way: how it will end and what will be sent."""

    question: str
    seed: int | None
    turn: int
    arrived: float
    outcome: str
    body: Mapping[str, Any]
    stream: bool = False


class Stats:
    """Counts of calls. ``calls`` counts arrivals, the outcomes count ends; those in flight are the difference."""

    def __init__(self) -> None:
        self.calls = 0
        self.stalled = 0
        self.most_in_flight = 0
        self.tokens: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self.questions: dict[str, dict[str, Any]] = {}

    def end(self, call: _Call, outcome: str) -> None:
        """A call has ended."""
        self.outcomes[outcome] += 1
        entry = self.questions.setdefault(call.question, {"calls": 0, "answered": 0, "seeds": Counter()})
        entry["calls"] += 1
        entry["answered"] += outcome == "answered"
        entry["seeds"][str(call.seed)] += 1
        usage = call.body.get("usage")
        if usage:
            self.tokens.update({name: usage[name] for name in ("prompt_tokens", "completion_tokens")})

    def as_dict(self) -> dict[str, Any]:
        """What ``/stats`` sends."""
        ended = sum(self.outcomes.values())
        return {
            "calls": self.calls,
            "in_flight": self.calls - ended,
            "most_in_flight": self.most_in_flight,
            "stalled": self.stalled,
            "outcomes": dict(self.outcomes),
            "tokens": dict(self.tokens),
            "questions": self.questions,
        }


class FakeServer:
    """Answers requests; one instance a process."""

    def __init__(self, settings: FakeSettings) -> None:
        """Reads the files that ``settings`` name.

        Raises
        ------
        InputError
            If one of them cannot be read as what it should be.
        """
        self.settings = settings
        self.stats = Stats()
        self._recording: Recording | None = read_recording(settings.replay) if settings.replay else None
        self._texts = read_texts(settings.answers) if settings.answers else None
        self._proposals = read_proposals(settings.proposals) if settings.proposals else None
        self._truth = read_truth(settings.truth) if settings.truth else None
        if self._truth is not None:
            labels = dict(zip(self._truth[1].id, self._truth[1].label, strict=True))
            self._planted = Planted(
                labels, settings.skill, settings.phrase, settings.phrase_skill, seed=settings.seed
            )
        self._script: Script = read_script(settings.script) if settings.script else {}
        self._log: IO[str] | None = None
        self._requests: deque[Mapping[str, Any]] = deque(maxlen=KEPT_REQUESTS)
        self._attempts: Counter[str] = Counter()
        self._said: Counter[str] = Counter()
        self._recent: deque[float] = deque()
        self._next_slot = 0.0

    def __call__(self, request: Request, connection: Connection) -> None:
        """Route one request."""
        path = request.path.removeprefix("/v1").rstrip("/")
        if path == "/chat/completions" and request.method == "POST":
            self._chat(request, connection)
            return
        found = {
            "/health": lambda: {"status": "ok"},
            "/models": self._models,
            "/stats": self.stats.as_dict,
            "/requests": lambda: list(self._requests),
        }.get(path)
        if found is None:
            connection.send(404, _json(_error(f"no such path: {request.method} {request.path}", "not_found")))
            return
        connection.send(200, _json(found()))

    def _models(self) -> dict[str, Any]:
        entry = {"id": self.settings.model, "object": "model", "created": 0, "owned_by": "perturbarena"}
        return {"object": "list", "data": [entry]}

    def _chat(self, request: Request, connection: Connection) -> None:
        now = asyncio.get_running_loop().time()
        if self.settings.die_after is not None and self.stats.calls >= self.settings.die_after:
            os._exit(DIED)
        self.stats.calls += 1
        in_flight = self.stats.calls - sum(self.stats.outcomes.values())
        self.stats.most_in_flight = max(self.stats.most_in_flight, in_flight)
        try:
            conversation = read_conversation(request.body)
            self._requests.append(conversation.body)
            conversation, answer = self._answer(conversation)
        except UnanswerableError as error:
            body = _error(str(error), "invalid_request_error")
            self._deliver(_Call("", None, 0, now, "refused", body), connection)
            return
        call, delay = self._plan(conversation, answer, now)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(delay, self._deliver, call, connection)

        def gone() -> None:
            timer.cancel()
            self._end(call, "abandoned")

        connection.on_gone = gone

    def _answer(self, conversation: Conversation) -> tuple[Conversation, Answer]:
        """What would be said if nothing goes wrong; the conversation gets its question's id if that is known."""
        if self._recording is not None:
            question = self._recording.finder.find(conversation)
            answer = self._recording.answer(conversation, question)
            return dataclasses.replace(conversation, question=question), answer
        if self._texts is not None:
            finder, texts = self._texts
            question = finder.find(conversation)
            return dataclasses.replace(conversation, question=question), Answer(*split_trace(texts[question]))
        if self._proposals is not None and is_reflection(conversation):
            own = self.settings.seed
            said = proposed(conversation.text, self._proposals, seed=conversation.seed, own_seed=own)
            return conversation, Answer("", said)
        if self._truth is not None:
            question, seed = self._truth[0].find(conversation), conversation.seed
            answer = self._planted.answer(conversation.text, question, seed, stated=self.settings.stated)
            return dataclasses.replace(conversation, question=question), answer
        told = scripted(self._script, conversation)
        return conversation, told or invent(conversation, seed=self.settings.seed, stated=self.settings.stated)

    def _plan(self, conversation: Conversation, answer: Answer, now: float) -> tuple[_Call, float]:
        """How the call will end and in how many seconds."""
        s = self.settings
        attempt = self._attempts[conversation.call]
        self._attempts[conversation.call] += 1

        def planned(outcome: str, body: Mapping[str, Any]) -> _Call:
            stream = bool(conversation.body.get("stream")) and outcome not in _STATUS
            return _Call(
                conversation.question, conversation.seed, conversation.turn, now, outcome, body, stream=stream
            )

        if self._over_limit(now):
            return planned("rate_limited", _error("too many requests", "rate_limit_exceeded")), 0.0
        delay = s.latency_ms / 1000
        if self._chance(s.fail_rate, "fail", conversation, attempt):
            return planned("failed", _error("the server failed, as it was told to", "server_error")), delay
        if s.max_rate is not None:
            self._next_slot = max(self._next_slot, now) + 1 / s.max_rate
            delay = max(delay, self._next_slot - now)
        if self._chance(s.stall_rate, "stall", conversation, attempt):
            self.stats.stalled += 1
            delay += s.stall_s
        outcome, said = self._spoil(conversation, answer)
        body = completion(conversation, said, reasoning_apart=s.reasoning, logprobs=s.logprobs)
        return planned(outcome, body), delay

    def _spoil(self, conversation: Conversation, answer: Answer) -> tuple[str, Answer]:
        """Empty or garbled content for the first answers to a call, as set."""
        nth = self._said[conversation.call]
        self._said[conversation.call] += 1
        if nth < self.settings.empty:
            return "empty", Answer("", "")
        if nth < self.settings.empty + self.settings.garble:
            return "garbled", Answer("", GARBLE)
        return "answered", answer

    def _chance(self, share: float, salt: str, conversation: Conversation, attempt: int) -> bool:
        return share > 0 and draw(self.settings.seed, salt, conversation.call, attempt).random() < share

    def _over_limit(self, now: float) -> bool:
        every = self.settings.rate_limit_every
        if every is not None and self.stats.calls % every == 0:
            return True
        if self.settings.rate_limit is None:
            return False
        while self._recent and self._recent[0] <= now - 1.0:
            self._recent.popleft()
        if len(self._recent) >= self.settings.rate_limit:
            return True
        self._recent.append(now)
        return False

    def _deliver(self, call: _Call, connection: Connection) -> None:
        self._end(call, call.outcome)
        headers = {"Retry-After": f"{self.settings.retry_after_s:g}"} if call.outcome == "rate_limited" else None
        if call.stream:
            connection.send(200, as_stream(call.body), content_type="text/event-stream")
        else:
            connection.send(_STATUS.get(call.outcome, 200), _json(call.body), headers=headers)

    def _end(self, call: _Call, outcome: str) -> None:
        self.stats.end(call, outcome)
        if self._log is not None:
            seconds = asyncio.get_running_loop().time() - call.arrived
            line = {"question": call.question, "seed": call.seed, "turn": call.turn, "outcome": outcome}
            self._log.write(json.dumps(line | {"ended": time.time(), "seconds": round(seconds, 4)}) + "\n")
            self._log.flush()

    async def serve(self, announce: Callable[[Mapping[str, Any]], None], *, until_stdin_closes: bool) -> None:
        """Serve until SIGTERM or SIGINT, or until stdin closes, which it does when the process that holds it ends.

        ``announce`` gets ``url``, ``port`` and ``pid`` once the server listens.
        """
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        try:
            server = await loop.create_server(
                lambda: Connection(self), "127.0.0.1", self.settings.port, backlog=1024
            )
        except OSError as error:
            raise InputError(f"cannot listen on 127.0.0.1:{self.settings.port}: {error.strerror}") from error
        if until_stdin_closes:
            await loop.connect_read_pipe(lambda: _StopAtEnd(stop), sys.stdin)
        port = server.sockets[0].getsockname()[1]
        with contextlib.ExitStack() as stack:
            if self.settings.log is not None:
                self._log = stack.enter_context(self.settings.log.open("a", encoding="utf-8"))
            announce({"url": f"http://127.0.0.1:{port}/v1", "port": port, "pid": os.getpid()})
            await stop.wait()
            server.close()
            self._log = None


class _StopAtEnd(asyncio.Protocol):
    def __init__(self, stop: asyncio.Event) -> None:
        self._stop = stop

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._stop.set()

    def eof_received(self) -> None:
        self._stop.set()


def serve(settings: FakeSettings, *, until_stdin_closes: bool = False) -> None:
    """Run the server in this process until it is told to stop; its address goes to stdout as one JSON line."""

    def announce(where: Mapping[str, Any]) -> None:
        sys.stdout.write(json.dumps(where) + "\n")
        sys.stdout.flush()

    asyncio.run(FakeServer(settings).serve(announce, until_stdin_closes=until_stdin_closes))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _error(message: str, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
