"""Every answer a model has given, kept by prompt and seed: nothing is asked twice, and a killed run loses nothing.

The optimiser is deterministic given the answers. A run that is started again is therefore played again from its
beginning, on kept answers and without a call, until it comes to where it was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol

from perturbarena.errors import ModelServerError, PerturbarenaError
from perturbarena.tracks.models.planted import REFLECTION
from perturbarena.tracks.prompt.batch import Call
from perturbarena.tracks.running.folder import RunFolder
from perturbarena.tracks.running.meter import Meter
from perturbarena.tracks.running.server import SPENT, TRANSPORT

ANSWER: Final = "answer"


class BudgetSpentError(PerturbarenaError):
    """The budget has no room for a call that is needed."""


class Asker(Protocol):
    """Makes calls, as many as the meter allows; ``done`` is told of each with the call's record as JSON values.

    A record has ``answered``, ``content``, ``reasoning``, ``total_tokens`` and, where answered, ``label``,
    ``p_up`` and ``p_down``, else ``reason`` (see :class:`perturbarena.tracks.prompt.calls.CallRecord`).
    """

    def __call__(
        self, calls: Sequence[Call], done: Callable[[Call, dict[str, Any]], None], *, meter: Meter
    ) -> None: ...


class Kept(NamedTuple):
    """One call's record as it is kept: what was read out of the answer, the answer, its tokens."""

    answered: bool
    p_up: float
    p_down: float
    label: str
    text: str
    reason: str
    tokens: int
    prompt_tokens: int

    @classmethod
    def of(cls, record: dict[str, Any]) -> Kept:
        """From a record as JSON values."""
        text = "\n\n".join(part for part in (record["reasoning"], record["content"]) if part.strip())
        return cls(
            bool(record["answered"]), record.get("p_up", 0.0), record.get("p_down", 0.0), record.get("label", ""),
            text, record.get("reason", ""), int(record["total_tokens"]), int(record.get("prompt_tokens", 0)),
        )  # fmt: skip


class Answers:
    """Asks what is not kept. ``folder`` must be open; ``None`` keeps answers in memory alone."""

    def __init__(self, *, asker: Asker, reflector: Asker, meter: Meter, folder: RunFolder | None) -> None:
        self.meter = meter
        self._askers = {ANSWER: asker, REFLECTION: reflector}
        self._folder = folder
        self._kept: dict[str, Kept] = {}
        if folder is not None:
            self._read(folder)

    @classmethod
    def none(cls) -> Answers:
        """No model behind it: for looking at prompts without asking."""

        def nobody(calls: Sequence[Call], done: Callable[..., None], *, meter: Meter) -> None:
            del calls, done, meter
            raise ModelServerError("there is no model to ask")

        return cls(asker=nobody, reflector=nobody, meter=Meter(), folder=None)

    def _read(self, folder: RunFolder) -> None:
        spent = {"calls": 0, "tokens": 0, "largest": 0}
        for trace in folder.read(list(folder.positions().values())):
            self._kept[trace["id"]] = Kept.of(trace["calls"][0])
            spent = {name: max(spent[name], trace["spent"][name]) for name in spent}
        self.meter.spent_before(**spent)

    def ask(self, calls: Sequence[Call]) -> list[Kept]:
        """The answer to each call, in order.

        Raises
        ------
        BudgetSpentError
            If the budget ends before the last answer; those that came are kept.
        ModelServerError
            If a call failed, or the server refuses every call.
        """
        return self._get(ANSWER, calls)

    def reflect(self, prompt: str, *, number: int) -> Kept:
        """What the reflecting model says to the ``number``-th request; errors as :meth:`ask`."""
        (said,) = self._get(REFLECTION, [Call(f"{REFLECTION}/{number}", prompt, number)])
        return said

    def _get(self, kind: str, calls: Sequence[Call]) -> list[Kept]:
        keys = [_key(kind, call) for call in calls]
        missing = {key: call for key, call in zip(keys, calls, strict=True) if key not in self._kept}
        failed: list[str] = []

        def done(call: Call, record: dict[str, Any]) -> None:
            if not record["answered"] and record["reason"].startswith(TRANSPORT):
                failed.append(record["reason"])
                return
            self._keep(_key(kind, call), call, record)

        if missing:
            self._askers[kind](list(missing.values()), done, meter=self.meter)
        if SPENT in failed:
            raise BudgetSpentError(f"{len(failed)} of {len(missing)} calls found no budget left")
        if failed:
            why = failed[0].removeprefix(TRANSPORT)
            raise ModelServerError(
                f"{len(failed):,} of {len(missing):,} calls got no answer ({why}); what was answered is kept: "
                "give the same command again"
            )
        return [self._kept[key] for key in keys]

    def _keep(self, key: str, call: Call, record: dict[str, Any]) -> None:
        self._kept[key] = Kept.of(record)
        if self._folder is None:
            return
        meter = self.meter
        spent = {"calls": meter.calls, "tokens": meter.tokens, "largest": meter.largest}
        self._folder.append(
            {"id": key, "user": call.user, "prompt": call.prompt, "calls": [record], "spent": spent}
        )


def _key(kind: str, call: Call) -> str:
    return f"{kind}:{hashlib.sha256(call.prompt.encode(errors='replace')).hexdigest()}:{call.seed}"
