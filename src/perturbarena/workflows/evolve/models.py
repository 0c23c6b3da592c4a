"""The models that answer and reflect: any that inspect knows, reached through the prompt track."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

from perturbarena.tracks.prompt.batch import Call, ask_batch
from perturbarena.tracks.prompt.calls import CallRecord
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.meter import Meter
from perturbarena.tracks.running.server import PATIENCE
from perturbarena.workflows.evolve.answers import Asker

_TEXT: Final = "stated"
"""A reflection's text is read as it is; nothing is asked of its tokens."""


def model_asker(settings: PromptSettings, transport: Transport, *, patience: float = PATIENCE) -> Asker:
    """Asks questions of a model. Prompt lengths are judged beforehand and afterwards, not by stopping the run."""
    unbounded = replace(settings, max_prompt_tokens=None)

    def ask(calls: Sequence[Call], done: Callable[[Call, dict[str, Any]], None], *, meter: Meter) -> None:
        def told(call: Call, record: CallRecord) -> None:
            done(call, record.as_json())

        ask_batch(calls, told, settings=unbounded, transport=transport, meter=meter, patience=patience)

    return ask


def reflecting(settings: PromptSettings, *, model: str | None = None) -> PromptSettings:
    """Settings of the model that reflects: one text a request, taken as it comes."""
    return replace(settings, model=model or settings.model, answers=_TEXT, retries=0, ranked=False)
