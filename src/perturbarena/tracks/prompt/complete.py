"""Any prompt, one call, the text that comes back: for those who ask a model something else than a question."""

from __future__ import annotations

from typing import Final

import anyio

from perturbarena.errors import ModelServerError
from perturbarena.tracks.prompt.calls import written_by
from perturbarena.tracks.running.endpoint import ModelSettings, Transport, full_model_name
from perturbarena.tracks.running.model import build_model, call_config
from perturbarena.tracks.running.progress import Counts
from perturbarena.tracks.running.server import Failure, Failures, Server

PATIENCE: Final = 30.0
"""Seconds after which an unreachable server counts as gone."""


def free_settings(model: str, *, base_url: str | None = None, temperature: float = 1.0) -> ModelSettings:
    """Settings of a call that no challenge's rules govern; InputError where the model's name has no provider."""
    name = full_model_name(model, base_url=base_url, fixed=None)
    return ModelSettings(challenge="", track="", model=name, temperature=temperature, top_p=1.0, ranked=False)


def complete(prompt: str, *, settings: ModelSettings, transport: Transport, user: str, seed: int = 0) -> str:
    """What the model writes, its reasoning left out.

    Raises
    ------
    ModelServerError
        If no answer comes, or an empty one each time it is asked.
    """

    async def ask() -> str:
        server = Server(transport, counts=Counts(), patience=PATIENCE)
        async with build_model(settings, transport) as model:
            for attempt in range(settings.retries + 1):
                config = call_config(settings, user=user, seed=seed + attempt)
                outcome = await server.send(
                    lambda config=config: model.generate(prompt, config=config), Failures()
                )
                if isinstance(outcome, Failure):
                    raise ModelServerError(f"{settings.model} did not answer: {outcome.reason}")
                text = written_by(outcome).content.strip()
                if text:
                    return text
        raise ModelServerError(f"{settings.model} gave an empty answer {settings.retries + 1} times")

    return anyio.run(ask)
