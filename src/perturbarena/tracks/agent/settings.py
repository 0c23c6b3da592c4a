"""What an agent run is asked to do, resolved from a challenge's rules before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.tracks.running.endpoint import ModelSettings, full_model_name, ruled

DesignName = Literal["react", "team", "debate"]
DESIGN_NAMES: Final[tuple[str, ...]] = get_args(DesignName)
UNLIMITED: Final = 10_000
"""Tool calls of a question where the rules set no bound: none would let a loop run for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings(ModelSettings):
    """What decides the answers. ``retries`` is for each agent of a question."""

    design: DesignName
    """Which agents there are."""
    max_tool_calls: int
    """Tool calls of a question, summed over its agents; the call that hands in the answer is one of them."""
    max_distinct_tools: int | None
    """Different tools that agents may be shown."""
    training_labels: bool
    """Whether tools may look at labels of training rows."""
    seed: int | None = None
    """Sampling seed sent with every call; none: none is sent."""
    tool_seconds: float = 30.0
    """Wall-clock limit of a call of an entrant's tool."""
    tool_memory_mib: int = 2048
    """Memory limit of such a call."""


def resolve_agent_settings(
    challenge: Challenge,
    track: str,
    *,
    design: DesignName,
    model: str,
    base_url: str | None = None,
    unranked: bool = False,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tool_calls: int | None = None,
    **others: Any,
) -> AgentSettings:
    """Settings from a track's rules and what the caller wishes.

    Raises
    ------
    InputError
        If the wish departs from the track's rules and ``unranked`` is not set; the track takes no tools.
    """
    rules = challenge.track(track)
    name = challenge.track_name(track)
    if rules.find("tool_calls") is None:
        raise InputError(f"track {name} of {challenge.name} has no place for tool calls; choose another --track")
    sampling = rules.sampling
    wishes = {
        "temperature": (sampling.temperature if sampling else None, temperature),
        "top_p": (sampling.top_p if sampling else None, top_p),
    }
    sampled = {
        key: ruled(key, rule, wish, track=name, challenge=challenge.name, unranked=unranked)
        for key, (rule, wish) in wishes.items()
    }
    allowed = rules.limits.max_tool_calls
    if max_tool_calls is not None and allowed is not None and max_tool_calls > allowed and not unranked:
        raise InputError(f"track {name} allows {allowed} tool calls; got {max_tool_calls} (--unranked allows it)")
    return AgentSettings(
        challenge=challenge.name,
        track=name,
        model=full_model_name(model, base_url=base_url, fixed=rules.model.fixed),
        design=design,
        ranked=not unranked,
        max_prompt_tokens=rules.limits.max_prompt_tokens,
        max_tool_calls=max_tool_calls or allowed or UNLIMITED,
        max_distinct_tools=rules.limits.max_distinct_tools,
        training_labels=unranked or rules.tools_may_use_training_labels,
        unanswered=challenge.unanswered,
        **sampled,
        **others,
    )
