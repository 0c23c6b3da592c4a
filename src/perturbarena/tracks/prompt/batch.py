"""Many prompts to one model, without a run folder or inspect's log: for those who keep the answers themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import anyio

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


def ask_batch(
    calls: Sequence[Call],
    done: Callable[[Call, CallRecord], None],
    *,
    settings: PromptSettings,
    transport: Transport,
    meter: Meter | None = None,
    patience: float = PATIENCE,
) -> Counts:
    """Make all calls, as many at once as the transport allows; ``done`` is told of each as it ends.

    Raises
    ------
    ModelServerError
        If the server refuses every call, or a prompt is longer than the settings allow.
    ModelRunError
        If inspect stops on another error.
    """
    counts = Counts()

    async def ask() -> None:
        server = Server(transport, counts=counts, meter=meter, patience=patience)
        caller = Caller(settings, server)
        async with build_model(settings, transport, logprobs=settings.answers == "logprobs") as model:

            async def one(call: Call) -> None:
                try:
                    (record,) = await caller.ask(model, call.prompt, id_=call.user, seeds=[call.seed])
                except ModelServerError as error:
                    server.fatal = server.fatal or error
                    group.cancel_scope.cancel()
                else:
                    done(call, record)

            async with anyio.create_task_group() as group:
                for call in calls:
                    group.start_soon(one, call)
        if server.fatal is not None:
            raise server.fatal

    try:
        anyio.run(ask)
    except ExceptionGroup as group:
        first = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        message = " ".join(str(first).split())[:300]
        raise ModelRunError(f"the calls stopped: {type(first).__name__}: {message}") from group
    return counts
