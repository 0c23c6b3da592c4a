"""What entrants may say about how an entry was made. All of it is optional."""

from __future__ import annotations

import json
import tomllib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from perturbarena.errors import FormatError

MAX_BYTES = 64 * 1024

Words = Annotated[str, Field(max_length=10_000)]


class Disclosure(BaseModel):
    """How an entry was made, in the entrants' words."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    ai_role: Words | None = None
    """What AI systems did in making the entry, beyond answering the questions."""
    training_data: Words | None = None
    """Data that models or tools were built from."""
    code_url: Annotated[str, Field(pattern=r"^https?://\S+$", max_length=2_000)] | None = None
    """Where the code is."""
    notes: Words | None = None
    """Anything else."""


def parse_disclosure(content: bytes, *, source: str) -> Disclosure:
    """A disclosure from the bytes of a ``.toml`` or ``.json`` file; FormatError says what is wrong."""
    try:
        text = content.decode("utf-8-sig")
        raw = tomllib.loads(text) if source.endswith(".toml") else json.loads(text)
        return Disclosure.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise FormatError(f"{source}: {'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{source} cannot be read: {' '.join(str(error).split())}") from error
