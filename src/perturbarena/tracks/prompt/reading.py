"""One answer of a model → probabilities, in the way that was chosen; or the reason why there are none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from perturbarena.challenge.records import DOWN, LABELS, UP
from perturbarena.tracks.parsing import UNPARSED, parse_answer
from perturbarena.tracks.prompt.logprobs import Token, read_answer_token
from perturbarena.tracks.prompt.settings import AnswerMode

NO_LOGPROBS: Final = "no_logprobs"
"""The server sent no log probabilities, or none of the alternatives: a plain error for the whole run."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote: the final part, the reasoning before it, and the tokens where the server sent them."""

    content: str
    reasoning: str = ""
    tokens: Sequence[Token] | None = None

    @property
    def trace(self) -> str:
        """All text, reasoning first."""
        return "\n\n".join(part for part in (self.reasoning, self.content) if part.strip())


@dataclass(frozen=True, slots=True)
class Reading:
    """Probabilities and how they were read; ``reason`` is set, and nothing else counts, where there are none."""

    label: str
    p_up: float
    p_down: float
    how: str
    mass: float | None = None
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """The fields that are set."""
        own = {"label": self.label, "p_up": self.p_up, "p_down": self.p_down, "how": self.how, "mass": self.mass}
        return {key: value for key, value in own.items() if value is not None}


def read_answer(written: Written, mode: AnswerMode) -> Reading:
    """Read one answer. An empty final part is no answer, however long the reasoning."""
    if not written.content.strip():
        return _none("empty")
    if mode == "logprobs":
        return _from_tokens(written)
    parsed = parse_answer(written.content)
    if not parsed.parsed:
        return _none(parsed.how.removeprefix(f"{UNPARSED}:"))
    if mode == "label":
        how = parsed.how.removesuffix("+probabilities")
        return Reading(parsed.label, float(parsed.label == UP), float(parsed.label == DOWN), f"label:{how}")
    return Reading(parsed.label, parsed.p_up, parsed.p_down, parsed.how)


def _from_tokens(written: Written) -> Reading:
    if not written.tokens or not any(len(token.alternatives) > 1 for token in written.tokens):
        return _none(NO_LOGPROBS)
    found = read_answer_token(written.tokens, written.content)
    if isinstance(found, str):
        return _none(found)
    values = (found.p_up, found.p_down, found.p_none)
    return Reading(LABELS[values.index(max(values))], found.p_up, found.p_down, "logprobs", mass=found.mass)


def _none(reason: str) -> Reading:
    return Reading("", 0.0, 0.0, "", reason=reason)
