"""What a prompt run is asked to do, resolved from a challenge's rules before anything is sent.

Two groups: what decides the answers (:class:`PromptSettings`, written into the run folder and held to on resuming)
and how they are fetched (:class:`Transport`, which may change between two starts of one run).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError

AnswerMode = Literal["stated", "logprobs", "label"]
"""How an answer becomes probabilities: as the text states them, from its token's log probabilities, or 0 and 1."""
ANSWER_MODES: Final[tuple[str, ...]] = get_args(AnswerMode)
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

TOP_LOGPROBS: Final = 20
"""Alternatives asked for at each token: the most that OpenAI-compatible servers allow."""
_LOCAL: Final = "openai-api/local/"
_PROVIDERS: Final = re.compile(
    r"(openai-api|openai|azureai|anthropic|google|vertex|mistral|grok|groq|together|fireworks|sambanova|bedrock"
    r"|cloudflare|perplexity|deepseek|openrouter|hf|hf-inference-providers|vllm|vllm-completions|sglang|ollama"
    r"|llama-cpp-python|transformer_lens|nnterp|mockllm|none|copilot|goodfire|nebius|moonshotai)/"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptSettings:
    """What decides the answers."""

    challenge: str
    """The challenge's name."""
    track: str
    """The track's name."""
    model: str
    """The model as inspect names it, such as ``openai-api/vllm/openai/gpt-oss-120b``."""
    answers: AnswerMode
    """How an answer becomes probabilities."""
    seeds: tuple[int, ...]
    """One call for each."""
    temperature: float
    """Sampling temperature."""
    top_p: float
    """Probability mass that is sampled from."""
    ranked: bool
    """False where the caller has set the track's sampling rules aside."""
    retries: int = 2
    """How often an empty or unreadable answer is asked for again, for each seed."""
    max_completion_tokens: int | None = None
    """Most tokens that the model may write in a call; none: the server decides."""
    reasoning_effort: Effort | None = None
    """Reasoning effort, for models that know it."""
    model_args: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of inspect's provider, such as ``model_path`` of ``hf/``."""
    max_prompt_tokens: int | None = None
    """The track's limit."""
    unanswered: tuple[float, float] = (1 / 3, 1 / 3)
    """(p_up, p_down) of a seed without an answer, from the rules."""

    @property
    def model_name(self) -> str:
        """The model's name without inspect's provider (and service), as a submission names it."""
        return model_name(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """How calls are made. None of it changes an answer."""

    base_url: str | None = None
    """The server's address; none: from the provider's environment variable."""
    concurrency: int = 60
    """Most calls under way at once."""
    timeout: float = 600.0
    """Seconds after which a call without an answer is given up and made again."""
    attempts: int = 6
    """How often a call is made before its failure is recorded."""

    @property
    def max_samples(self) -> int:
        """Questions under way at once: enough that calls never wait for a question to end."""
        return max(2, self.concurrency // 2 + 1)


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
    ruled = {
        "seeds": tuple(rules.seeds) or None,
        "temperature": rules.sampling.temperature if rules.sampling else None,
        "top_p": rules.sampling.top_p if rules.sampling else None,
    }
    wished = {"seeds": None if seeds is None else tuple(seeds), "temperature": temperature, "top_p": top_p}
    resolved: dict[str, Any] = {}
    for name, rule in ruled.items():
        wish = wished[name]
        if rule is not None and wish is not None and wish != rule and not unranked:
            raise InputError(
                f"track {track} samples with {name} {_shown(rule)}; got {_shown(wish)} (--unranked allows it)"
            )
        value = wish if wish is not None else rule
        if value is None:
            raise InputError(f"track {track} of {challenge.name} sets no {name}; give --{name.replace('_', '-')}")
        resolved[name] = value
    if len(set(resolved["seeds"])) < len(resolved["seeds"]) or not resolved["seeds"]:
        raise InputError(f"seeds must be different ones, at least one; got {_shown(resolved['seeds'])}")
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


def full_model_name(model: str, *, base_url: str | None, fixed: str | None) -> str:
    """The name as inspect wants it. With a base URL a name without a provider is an OpenAI-compatible server's.

    So is the track's fixed model: ``openai/gpt-oss-120b`` is a name on a hub, and not OpenAI's own service.

    Raises
    ------
    InputError
        If the address holds a key, or the name has no provider and there is no address.
    """
    if base_url is not None:
        check_url(base_url)
        if model == fixed or not _PROVIDERS.match(model):
            return f"{_LOCAL}{model}"
    elif not _PROVIDERS.match(model):
        raise InputError(
            f"--model {model} names no provider: give --base-url URL, or a name such as {_LOCAL}{model}"
        )
    return model


def check_url(url: str) -> str:
    """The address; InputError if it is none, or holds a user, a password or a query that may be a key."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"a base URL must be http(s)://HOST…; got {url.split('@')[-1].split('?')[0]!r}")
    if parts.username or parts.password or parts.query:
        raise InputError(
            f"the base URL of {parts.hostname} holds a user or a key; give keys by environment variable"
        )
    return url


def model_name(model: str) -> str:
    """``openai-api/vllm/openai/gpt-oss-120b`` → ``openai/gpt-oss-120b``; ``hf/x`` → ``x``."""
    parts = model.split("/")
    drop = 2 if parts[0] == "openai-api" and len(parts) > 2 else 1
    return "/".join(parts[drop:]) or model


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
