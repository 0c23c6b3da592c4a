"""How many tokens a prompt has, before a server has said so.

OpenAI's o200k vocabulary, which gpt-oss uses, is read where tiktoken has it in its cache; nothing is fetched. The
count leaves out the few dozen tokens that a chat format puts around a prompt. Otherwise there is an estimate, said
to be one. The server's own count, which comes with each answer, is the truth.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_O200K_URL: Final = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
"""tiktoken names its cache's files by the SHA-1 of the address."""
BYTES_PER_TOKEN: Final = 3.5
"""For the estimate. English text has about four bytes a token; gene symbols fall into more pieces."""
_O200K_MODELS: Final = ("gpt-oss", "gpt-4o", "gpt-4.1", "gpt-5", "o1", "o3", "o4")


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """``count`` gives a text's tokens; ``exact`` says whether the model's own vocabulary counts."""

    name: str
    exact: bool
    count: Callable[[str], int]


def token_counter(model: str) -> TokenCounter:
    """The best counter at hand for a model, without the network."""
    encode = _cached_o200k()
    if encode is None:
        return TokenCounter("estimate: 1 token per 3.5 bytes", exact=False, count=_estimate)
    exact = any(name in model.casefold() for name in _O200K_MODELS)
    return TokenCounter("o200k" if exact else "o200k, not this model's own", exact=exact, count=encode)


def _estimate(text: str) -> int:
    return math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def _cached_o200k() -> Callable[[str], int] | None:
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    cache = Path(folder) if folder else Path(tempfile.gettempdir()) / "data-gym-cache"
    if not (cache / hashlib.sha1(_O200K_URL.encode(), usedforsecurity=False).hexdigest()).is_file():
        return None
    try:
        import tiktoken
    except ImportError:
        return None
    encoding = tiktoken.get_encoding("o200k_base")
    return lambda text: len(encoding.encode(text, disallowed_special=()))
