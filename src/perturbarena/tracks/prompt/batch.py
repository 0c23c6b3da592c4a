"""Many prompts to one model, without a run folder or inspect's log: for those who keep the answers themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple, Self

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from inspect_ai.model import Model

from perturbarena.errors import ModelServerError
from perturbarena.tracks.prompt.calls import Caller, CallRecord
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.evaluate import ModelRunError
from perturbarena.tracks.running.meter import Meter
from perturbarena.tracks.running.model import build_model
from perturbarena.tracks.running.progress import Counts
from perturbarena.tracks.running.server import PATIENCE, Server


class Call(NamedTuple):
    """One call: ``user`` is what the server is told of whom it is for, a question's id."""

    user: str
    prompt: str
    seed: int


class BatchModel:
    """A model that answers batch after batch, made at the first one and kept until the ``with`` block ends.

    A model that runs in this process, or whose server inspect starts, is so loaded once. Its event loop runs in a
    thread of its own, since connections belong to the loop that they were made in.
    """

    def __init__(self, settings: PromptSettings, transport: Transport, *, patience: float = PATIENCE) -> None:
        self._settings, self._transport, self._patience = settings, transport, patience
        self._stack = ExitStack()
        self._made: tuple[BlockingPortal, Model] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._made = None
        self._stack.__exit__(kind, error, trace)

    def ask(
        self,
        calls: Sequence[Call],
        done: Callable[[Call, CallRecord], None],
        *,
        meter: Meter | None = None,
        settings: PromptSettings | None = None,
    ) -> Counts:
        """Make all calls, as many at once as the transport allows; ``done`` is told of each as it ends.

        ``settings`` are others for these calls alone: how answers are read, and how often they are asked for.

        Raises
        ------
        ModelServerError
            If the server refuses every call, or a prompt is longer than the settings allow.
        ModelRunError
            If inspect stops on another error.
        """
        counts = Counts()
        server = None
        try:
            portal, model = self._made or self._make()
            server = Server(self._transport, counts=counts, meter=meter, patience=self._patience)
            portal.call(_ask_all, model, Caller(settings or self._settings, server), calls, done)
        except ExceptionGroup as group:
            first = group
            while isinstance(first, ExceptionGroup):
                first = first.exceptions[0]
            message = " ".join(str(first).split())[:300]
            raise ModelRunError(f"the calls stopped: {type(first).__name__}: {message}") from group
        if server.fatal is not None:
            raise server.fatal
        return counts

    def _make(self) -> tuple[BlockingPortal, Model]:
        portal = self._stack.enter_context(start_blocking_portal())
        logprobs = self._settings.answers == "logprobs"
        model = portal.call(lambda: build_model(self._settings, self._transport, logprobs=logprobs))
        self._stack.enter_context(portal.wrap_async_context_manager(model))
        self._made = portal, model
        return self._made


async def _ask_all(
    model: Model, caller: Caller, calls: Sequence[Call], done: Callable[[Call, CallRecord], None]
) -> None:
    async def one(call: Call) -> None:
        try:
            (record,) = await caller.ask(model, call.prompt, id_=call.user, seeds=[call.seed])
        except ModelServerError as error:
            caller.server.fatal = caller.server.fatal or error
            group.cancel_scope.cancel()
        else:
            done(call, record)

    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(one, call)
