"""A budget of calls and tokens that requests are held to before they are sent.

Calls are counted when they begin. Tokens are known only from the server's usage, so that a request is begun only
while as many tokens as the largest request so far has taken are left for it and for each one under way; what a
request takes beyond the largest one before it is all that a budget can be overdrawn by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from perturbarena.errors import InputError


@dataclass(slots=True)
class Meter:
    """Counts requests and tokens; mutable, shared by all requests of a run.

    Attributes
    ----------
    max_calls, max_tokens
        The budget; None: no bound.
    calls, tokens
        Spent so far: requests begun, and tokens read and written by the server's own count.
    largest
        Tokens of the largest request so far.
    kept_calls, kept_tokens
        Put by for later and not to be spent now.
    refused
        How many requests were not begun.
    """

    max_calls: int | None = None
    max_tokens: int | None = None
    calls: int = 0
    tokens: int = 0
    largest: int = 0
    kept_calls: int = 0
    kept_tokens: int = 0
    refused: int = 0
    under_way: int = 0

    def __post_init__(self) -> None:
        for name in ("max_calls", "max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"a budget's {name} must be at least 1; got {value}")

    def begin(self) -> bool:
        """Count a request that is about to be sent; False, and counted as refused, where the budget has none."""
        if not self.allows():
            self.refused += 1
            return False
        self.calls += 1
        self.under_way += 1
        return True

    def end(self, tokens: int) -> None:
        """Count the tokens of a request that has ended; 0 where it failed."""
        self.under_way -= 1
        self.tokens += tokens
        self.largest = max(self.largest, tokens)

    def allows(self, calls: int = 1) -> bool:
        """Whether so many further requests fit."""
        if self.max_calls is not None and self.calls + calls > self.max_calls - self.kept_calls:
            return False
        if self.max_tokens is None:
            return True
        return self.tokens + (self.under_way + calls) * max(self.largest, 1) <= self.max_tokens - self.kept_tokens

    def spent_before(self, *, calls: int, tokens: int, largest: int) -> None:
        """Add what an earlier start has spent."""
        self.calls += calls
        self.tokens += tokens
        self.largest = max(self.largest, largest)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"calls": self.calls, "max_calls": self.max_calls, "tokens": self.tokens,
                "max_tokens": self.max_tokens, "refused": self.refused}  # fmt: skip
