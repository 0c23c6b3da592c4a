"""Text from strangers that both databases can keep: no NUL (PostgreSQL refuses it), no lone surrogate."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from perturbarena.errors import BoardError


def storable(text: str) -> bool:
    """Whether a text can be stored and sent as UTF-8."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def plain(text: str) -> str:
    """The text; BoardError (invalid) where it cannot be stored."""
    if not storable(text):
        raise BoardError("text must not hold NUL or lone surrogates")
    return text


def _validated(text: str) -> str:
    if not storable(text):
        raise ValueError("text must not hold NUL or lone surrogates")
    return text


Text = Annotated[str, AfterValidator(_validated)]
"""A string in a request's JSON."""
