"""One question, one call, the answer with its reasoning: to look at a prompt before it is sent by the thousand."""

from __future__ import annotations

import anyio

from perturbarena.challenge.records import Question
from perturbarena.tracks.prompt.calls import Caller, CallRecord
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.model import build_model
from perturbarena.tracks.running.progress import Counts
from perturbarena.tracks.running.server import Server

_PATIENCE = 5.0
"""Someone is waiting: an unreachable server is reported at once."""


def ask_one(question: Question, prompt: str, *, settings: PromptSettings, transport: Transport) -> CallRecord:
    """Ask with the first seed."""

    async def ask() -> CallRecord:
        caller = Caller(settings, Server(transport, counts=Counts(), patience=_PATIENCE))
        async with build_model(settings, transport, logprobs=settings.answers == "logprobs") as model:
            (record,) = await caller.ask(model, prompt, id_=question.id, seeds=settings.seeds[:1])
        return record

    return anyio.run(ask)
