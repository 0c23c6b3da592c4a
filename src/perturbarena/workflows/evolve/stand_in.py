"""A stand-in for both models within this process: for trying evolution itself, many times over.

It goes through the same budget, cache and adapter as a model behind a server, and answers as
:class:`perturbarena.tracks.models.Planted` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perturbarena.tracks.models import Planted, proposed
from perturbarena.tracks.models.conversation import count_tokens
from perturbarena.tracks.prompt import Written, read_answer
from perturbarena.tracks.prompt.batch import Call
from perturbarena.tracks.running.meter import Meter
from perturbarena.tracks.running.server import SPENT
from perturbarena.workflows.evolve.answers import Asker


def planted_asker(planted: Planted) -> Asker:
    """Answers questions, each call's ``user`` being the question's id."""

    def say(call: Call) -> str:
        said = planted.answer(call.prompt, call.user, call.seed, stated=True)
        return f"{said.reasoning}\n\n{said.final}"

    return _asker(say, is_answer=True)


def proposing_asker(sentences: Sequence[str], *, seed: int = 0) -> Asker:
    """Proposes the shown text with one of the sentences before it, in turn."""
    return _asker(lambda call: proposed(call.prompt, sentences, seed=call.seed, own_seed=seed), is_answer=False)


def _asker(say: Callable[[Call], str], *, is_answer: bool) -> Asker:
    def ask(calls: Sequence[Call], done: Callable[[Call, dict[str, Any]], None], *, meter: Meter) -> None:
        for call in calls:
            if not meter.begin():
                done(call, {"answered": False, "reason": SPENT})
                continue
            text = say(call)
            tokens = count_tokens(call.prompt) + count_tokens(text)
            meter.end(tokens)
            read = {"answered": False, "reason": "not asked for an answer"}
            if is_answer:
                read = {"answered": True, **read_answer(Written(text), "stated").as_json()}
            done(call, read | {"content": text, "reasoning": "", "total_tokens": tokens})

    return ask
