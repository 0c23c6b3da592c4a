"""Which model answers, how it is sampled and how it is reached: what every way of running a model shares.

Two groups: what decides the answers (:class:`ModelSettings`, written into the run folder and held to on resuming)
and how they are fetched (:class:`Transport`, which may change between two starts of one run).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from perturbarena.errors import InputError

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


_LOCAL: Final = "openai-api/local/"
_PROVIDERS: Final = re.compile(
    r"(openai-api|openai|azureai|anthropic|google|vertex|mistral|grok|groq|together|fireworks|sambanova|bedrock"
    r"|cloudflare|perplexity|deepseek|openrouter|hf|hf-inference-providers|vllm|vllm-completions|sglang|ollama"
    r"|llama-cpp-python|transformer_lens|nnterp|mockllm|none|copilot|goodfire|nebius|moonshotai)/"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """What decides the answers, whatever is asked."""

    challenge: str
    """The challenge's name."""
    track: str
    """The track's name."""
    model: str
    """The model as inspect names it, such as ``openai-api/vllm/openai/gpt-oss-120b``."""
    temperature: float
    """Sampling temperature."""
    top_p: float
    """Probability mass that is sampled from."""
    ranked: bool
    """False where the caller has set the track's sampling rules aside."""
    retries: int = 2
    """How often an empty, unreadable or missing answer is asked for again."""
    max_completion_tokens: int | None = None
    """Most tokens that the model may write in a call; none: the server decides."""
    reasoning_effort: Effort | None = None
    """Reasoning effort, for models that know it."""
    model_args: Mapping[str, Any] = field(default_factory=dict)
    """Further arguments of inspect's provider, such as ``model_path`` of ``hf/``."""
    max_prompt_tokens: int | None = None
    """The track's limit."""
    unanswered: tuple[float, float] = (1 / 3, 1 / 3)
    """(p_up, p_down) of what has no answer, from the rules."""

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


def ruled(name: str, rule: Any, wish: Any, *, track: str, challenge: str, unranked: bool) -> Any:
    """A sampling setting: the track's rule, or the caller's wish where the track leaves it free.

    Raises
    ------
    InputError
        If the wish departs from the rule and ``unranked`` is not set, or there is neither.
    """
    if rule is not None and wish is not None and wish != rule and not unranked:
        raise InputError(
            f"track {track} samples with {name} {shown(rule)}; got {shown(wish)} (--unranked allows it)"
        )
    value = wish if wish is not None else rule
    if value is None:
        raise InputError(f"track {track} of {challenge} sets no {name}; give --{name.replace('_', '-')}")
    return value


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


def shown(value: object) -> str:
    """For a message: a tuple as its members."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
