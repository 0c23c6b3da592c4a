"""Numbers in sentences: "1 gene", "2 genes", so that no message has to say "1 genes"."""

from __future__ import annotations


def counted(n: int, noun: str, plural: str = "") -> str:
    """``n`` with thousands separated, and the noun in the number that fits it; plural with "s" unless given."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {plural or noun + 's'}"
