"""What a fake model does: one frozen record, the same for the command line, for tests and on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perturbarena.errors import InputError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]


class FakeSettings(BaseModel):
    """How the server answers and how it misbehaves. Everything defaults to good behaviour.

    Faults are drawn from a hash of ``seed``, the question, the request's seed and the number of the attempt, so
    they do not depend on the order in which calls arrive, and a retry is a new draw.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """TCP port on 127.0.0.1; 0 takes a free one."""
    model: str = "fake-model"
    """The name under ``/v1/models``. Any name is answered."""
    seed: int = 0
    """Another seed gives other answers and other faults."""
    latency_ms: Annotated[float, Field(ge=0.0)] = 50.0
    """Milliseconds from a request's arrival to its answer."""
    max_rate: Annotated[float, Field(gt=0.0)] | None = None
    """Answers per second that the server can give; the others wait in line."""
    fail_rate: Share = 0.0
    """Share of calls answered with HTTP 500."""
    empty: Count = 0
    """The first so many answers to a question under one request seed have empty content."""
    garble: Count = 0
    """The next so many answers (after the empty ones) say nothing that can be read as an answer."""
    rate_limit: Annotated[float, Field(gt=0.0)] | None = None
    """Calls within one second above which HTTP 429 is sent."""
    rate_limit_every: Annotated[int, Field(ge=2)] | None = None
    """Every so-manieth call gets HTTP 429."""
    retry_after_s: Annotated[float, Field(ge=0.0)] = 1.0
    """Seconds named by the ``Retry-After`` header of an HTTP 429."""
    stall_rate: Share = 0.0
    """Share of calls whose answer is held back by ``stall_s``."""
    stall_s: Annotated[float, Field(ge=0.0)] = 60.0
    """Seconds for which a stalled answer is held back."""
    die_after: Annotated[int, Field(ge=1)] | None = None
    """The process ends, without a reply, when the call after so many arrives."""
    logprobs: bool = True
    """False: a server without log probabilities; the field is null whatever is asked."""
    reasoning: bool = False
    """Put the reasoning into ``reasoning_content`` and leave the answer alone in ``content``."""
    stated: bool = False
    """State ``P_up`` and ``P_down`` beside the answer, which is then the most probable one."""
    answers: Path | None = None
    """CSV with ``id,text``: the text of each question's answer."""
    replay: Path | None = None
    """CSV of recorded outputs, one row a question, with traces and probabilities by seed."""
    script: Path | None = None
    """JSON with scripted tool calls."""
    truth: Path | None = None
    """CSV of labelled questions that the model knows some of; see ``skill``."""
    skill: Share = 0.5
    """With ``truth``: share of answers that are known; the others are guessed, anew for every prompt."""
    phrase: str | None = None
    """With ``truth``: words that, standing in the prompt, raise the share to ``phrase_skill``."""
    phrase_skill: Share = 0.8
    """With ``phrase``: share of answers that are known where the prompt holds it."""
    proposals: Path | None = None
    """Text file, one sentence a line: what the model adds to a prompt when asked to improve it."""
    log: Path | None = None
    """JSON-lines file to which each call is appended as it ends; it outlives the process."""

    @classmethod
    def checked(cls, **values: Any) -> Self:
        """As the constructor, but a wrong value is an InputError of one line."""
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise InputError(f"fake model: {where}: {first['msg']}; got {first['input']!r}") from error
