"""What a model has said to one question: how each sample is read, what a trace line holds, and the one answer.

A trace line has the form of every other track's, so that reports and later commands read them all alike: a list of
calls, one for each sample, each answered or with the reason why not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from perturbarena.challenge.records import LABELS, Question
from perturbarena.tracks.finetune.inference import InferenceSettings
from perturbarena.tracks.finetune.rerank import Candidate, Reranked, rerank
from perturbarena.tracks.plaintext import split_thinking
from perturbarena.tracks.prompt.reading import Reading, Written, read_answer

LIKELIHOOD: Final = "likelihood"
"""How an answer was read that nobody wrote."""
OPENED: Final = "<think>"
NO_TAG: Final = "no_answer_tag"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sample. ``reading.reason`` is set where no answer can be read."""

    seed: int
    reading: Reading
    written: Written
    stop_reason: str = ""
    prompt_tokens: int = 0
    output_tokens: int = 0
    log_likelihood: tuple[float, float, float] | None = None
    """Of the three answers, where they were scored."""
    score: float | None = None
    """The critic's."""

    def as_json(self) -> dict[str, Any]:
        """For the trace."""
        answered = not self.reading.reason
        found = {
            "seed": self.seed,
            "answered": answered,
            **(self.reading.as_json() if answered else {"reason": self.reading.reason}),
            "reasoning": self.written.reasoning,
            "content": self.written.content,
            "stop_reason": self.stop_reason,
            "prompt_tokens": self.prompt_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.prompt_tokens + self.output_tokens,
            "rejected": [],
            "failures": [],
        }
        return found | {
            name: value for name in ("log_likelihood", "score") if (value := getattr(self, name)) is not None
        }


def split_written(text: str, *, prompt: str) -> Written:
    """Reasoning and answer of a text. After a prompt that opens a think block, a text that never closes it is
    reasoning without an answer.
    """
    opened = prompt.rstrip().endswith(OPENED) and not text.lstrip().startswith(OPENED)
    parts = split_thinking(f"{OPENED}{text}" if opened else text)
    return Written(parts.final.strip("\n"), parts.reasoning.strip("\n"))


def read_written(written: Written, settings: InferenceSettings) -> Reading:
    """The answer that a text states."""
    return read_answer(written, "label" if settings.answers == "label" else "stated")


def read_scores(log_likelihood: np.ndarray, how: str) -> Reading:
    """Probabilities from the log-likelihoods of up, down and none, shape (3,)."""
    shares = np.exp(log_likelihood - log_likelihood.max())
    up, down, none = (float(p) for p in shares / shares.sum())
    if up + down > 1.0:  # the last bit
        up, down = (up, 1.0 - up) if up > down else (1.0 - down, down)
    mass = float(np.exp(log_likelihood).sum())
    values = (up, down, none)
    return Reading(LABELS[values.index(max(values))], up, down, how, mass=min(mass, 1.0))


def unread(reason: str) -> Reading:
    """No answer, and why."""
    return Reading("", 0.0, 0.0, "", reason=reason)


def trace_line(question: Question, prompt: str, calls: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One question's line."""
    return {
        "id": question.id,
        "pert": question.pert,
        "gene": question.gene,
        "prompt": prompt,
        "calls": list(calls),
    }


def one_answer(calls: Sequence[Mapping[str, Any]], settings: InferenceSettings) -> Reranked | None:
    """What the samples of a question come to; None where none can be read."""
    candidates = [
        Candidate(call["label"], call["p_up"], call["p_down"]) if call["answered"] else Candidate("", 0.0, 0.0)
        for call in calls
    ]
    scores = None if settings.critic is None else [call.get("score", 0.0) for call in calls]
    return rerank(candidates, settings.rerank, scores=scores)


def whole_text(call: Mapping[str, Any]) -> str:
    """All that a sample's model wrote, reasoning first."""
    return Written(call["content"], call["reasoning"]).trace
