"""What a prompt run is asked to do, resolved from a challenge's rules before anything is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.tracks.running.endpoint import ModelSettings, full_model_name, ruled, shown

AnswerMode = Literal["stated", "logprobs", "label"]
"""How an answer becomes probabilities: as the text states them, from its token's log probabilities, or 0 and 1."""
ANSWER_MODES: Final[tuple[str, ...]] = get_args(AnswerMode)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSettings(ModelSettings):
    """What decides the answers. ``retries`` and ``unanswered`` are for each seed."""

    answers: AnswerMode
    """How an answer becomes probabilities."""
    seeds: tuple[int, ...]
    """One call for each."""


def resolve_settings(
    challenge: Challenge,
    track: str,
    *,
    model: str,
    answers: AnswerMode,
    base_url: str | None = None,
    unranked: bool = False,
    seeds: Sequence[int] | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    **others: Any,
) -> PromptSettings:
    """Settings from a track's rules and what the caller wishes.

    Raises
    ------
    InputError
        If the wish departs from the track's sampling rules and ``unranked`` is not set; or a rule is missing and
        nothing is given in its place.
    """
    rules = challenge.track(track)
    sampling = rules.sampling
    wishes = {
        "seeds": (tuple(rules.seeds) or None, None if seeds is None else tuple(seeds)),
        "temperature": (sampling.temperature if sampling else None, temperature),
        "top_p": (sampling.top_p if sampling else None, top_p),
    }
    resolved = {
        name: ruled(name, rule, wish, track=track, challenge=challenge.name, unranked=unranked)
        for name, (rule, wish) in wishes.items()
    }
    if len(set(resolved["seeds"])) < len(resolved["seeds"]) or not resolved["seeds"]:
        raise InputError(f"seeds must be different ones, at least one; got {shown(resolved['seeds'])}")
    return PromptSettings(
        challenge=challenge.name,
        track=challenge.track_name(track),
        model=full_model_name(model, base_url=base_url, fixed=rules.model.fixed),
        answers=answers,
        ranked=not unranked,
        max_prompt_tokens=rules.limits.max_prompt_tokens,
        unanswered=challenge.unanswered,
        **resolved,
        **others,
    )
