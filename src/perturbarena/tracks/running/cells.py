"""A model's text as a cell that every reader of CSV takes."""

from __future__ import annotations

from perturbarena.challenge.rules import Challenge


def text_cell(text: str, challenge: Challenge) -> str:
    """Without NUL and lone surrogates; the rules' word where there is nothing."""
    clean = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return clean if clean.strip() else challenge.empty_text
