"""From settings to the model that inspect calls, and what is said with each call."""

from __future__ import annotations

import os
from typing import Any, Final

from inspect_ai._util.error import PrerequisiteError  # the only class by which a missing key can be told
from inspect_ai.model import GenerateConfig, Model, get_model

from perturbarena.errors import ModelServerError
from perturbarena.tracks.running.endpoint import ModelSettings, Transport, check_url

TOP_LOGPROBS: Final = 20
"""Alternatives asked for at each token: the most that OpenAI-compatible servers allow."""
_EXTRA_BODY: Final = ("openai-api", "vllm", "sglang")
"""Providers whose requests take further fields."""
_OPENAI_CLIENT: Final = ("openai-api", "openai")
"""Providers whose arguments reach the OpenAI client, whose own silent retries are switched off."""


def build_model(settings: ModelSettings, transport: Transport, *, logprobs: bool = False) -> Model:
    """The model that inspect calls, with the settings' sampling.

    Raises
    ------
    ModelServerError
        If inspect cannot make it: an unknown provider, a missing key or package.
    """
    provider = settings.model.split("/", 1)[0]
    arguments: dict[str, Any] = dict(settings.model_args)
    if provider in _OPENAI_CLIENT:
        arguments.setdefault("max_retries", 0)
    key = None
    if provider == "openai-api" and transport.base_url is not None:
        service = settings.model.split("/")[1].upper().replace("-", "_")
        key = os.environ.get(f"{service}_API_KEY") or "none"  # servers of one's own want no key, the client does
    try:
        model = get_model(
            settings.model,
            base_url=transport.base_url,
            api_key=key,
            config=model_config(settings, concurrency=transport.concurrency, logprobs=logprobs),
            memoize=False,
            **arguments,
        )
    except (PrerequisiteError, ValueError) as error:
        raise ModelServerError(f"{settings.model}: {_plain(error)}") from error
    if isinstance(model.api.base_url, str):
        check_url(model.api.base_url)
    return model


def model_config(
    settings: ModelSettings, *, concurrency: int | None = None, logprobs: bool = False
) -> GenerateConfig:
    """The settings as inspect's generation config."""
    provider = settings.model.split("/", 1)[0]
    limit = settings.max_completion_tokens
    return GenerateConfig(
        temperature=settings.temperature,
        top_p=settings.top_p,
        reasoning_effort=settings.reasoning_effort,
        max_tokens=None if provider in _EXTRA_BODY else limit,  # those get max_completion_tokens with each call
        logprobs=True if logprobs else None,
        top_logprobs=TOP_LOGPROBS if logprobs else None,
        max_connections=concurrency,
        adaptive_connections=False,
        max_retries=0,
    )


def call_config(settings: ModelSettings, *, user: str, seed: int | None = None) -> GenerateConfig:
    """What differs between calls. ``user`` carries the question's id, so that a server's log can be matched."""
    provider = settings.model.split("/", 1)[0]
    limit = settings.max_completion_tokens
    # inspect names the limit max_tokens for models it does not know, which reasoning servers read differently
    extra: dict[str, Any] = {}
    if limit and provider in _EXTRA_BODY:
        extra["max_completion_tokens"] = limit
    if provider == "openai-api":
        extra["user"] = user
    return GenerateConfig(seed=seed, max_retries=0, extra_body=extra or None)


def _plain(error: BaseException) -> str:
    """inspect's message without its colours."""
    from rich.text import Text

    message = str(getattr(error, "message", error))
    return " ".join(Text.from_markup(message).plain.split())
