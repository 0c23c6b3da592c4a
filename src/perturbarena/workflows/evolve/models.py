"""The models that answer and reflect: any that inspect knows, reached through the prompt track."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final, NamedTuple

from perturbarena.tracks.prompt.batch import BatchModel, Call
from perturbarena.tracks.prompt.calls import CallRecord
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.meter import Meter
from perturbarena.tracks.running.server import PATIENCE
from perturbarena.workflows.evolve.answers import Asker

_TEXT: Final = "stated"
"""A reflection's text is read as it is; nothing is asked of its tokens."""


class Askers(NamedTuple):
    """Who answers questions, and who proposes changes."""

    asker: Asker
    reflector: Asker


@contextmanager
def model_askers(
    answering: tuple[PromptSettings, Transport],
    reflection: tuple[PromptSettings, Transport],
    *,
    patience: float = PATIENCE,
) -> Iterator[Askers]:
    """Ask both models as long as the block lasts; where they are one and the same, it is made once.

    Prompt lengths are judged before and after, not by stopping.
    """
    (settings, transport), (to_reflect, elsewhere) = answering, reflection
    settings, to_reflect = (replace(one, max_prompt_tokens=None) for one in (settings, to_reflect))
    with ExitStack() as stack:
        model = stack.enter_context(BatchModel(settings, transport, patience=patience))
        one, two = ((s.model, s.model_args, t) for s, t in ((settings, transport), (to_reflect, elsewhere)))
        other = model if one == two else stack.enter_context(BatchModel(to_reflect, elsewhere, patience=patience))
        yield Askers(_asker(model, settings), _asker(other, to_reflect))


def _asker(model: BatchModel, settings: PromptSettings) -> Asker:
    def ask(calls: Sequence[Call], done: Callable[[Call, dict[str, Any]], None], *, meter: Meter) -> None:
        def told(call: Call, record: CallRecord) -> None:
            done(call, record.as_json())

        model.ask(calls, told, meter=meter, settings=settings)

    return ask


def reflecting(settings: PromptSettings, *, model: str | None = None) -> PromptSettings:
    """Settings of the model that reflects: one text a request, taken as it comes."""
    return replace(settings, model=model or settings.model, answers=_TEXT, retries=0, ranked=False)
