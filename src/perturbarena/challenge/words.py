"""Numbers with their nouns, so that every room says ``1 row`` and ``2,499 rows``."""

from __future__ import annotations


def counted(n: int, noun: str, many: str | None = None) -> str:
    """``1 pair``, ``4,328 pairs``, ``2 strata``; ``many`` is the plural where it is not the noun with an s."""
    return f"{n:,} {noun if n == 1 else many or f'{noun}s'}"
