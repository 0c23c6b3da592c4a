"""One of n equal parts of a list of work, ``i/n``, for plain job arrays."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from perturbarena.errors import InputError

Item = TypeVar("Item")


class Shard(NamedTuple):
    """The i-th of n parts, 1 ≤ i ≤ n: every n-th item from the i-th on."""

    i: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``"i/n"``.

        Raises
        ------
        InputError
            If the text is anything else, or i is not between 1 and n.
        """
        first, slash, second = text.partition("/")
        if not (slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
            raise InputError(f"--shard must be i/n, such as 1/2; got {text!r}")
        shard = cls(int(first), int(second))
        if not 1 <= shard.i <= shard.n:
            raise InputError(f"--shard i/n needs 1 ≤ i ≤ n; got {text}")
        return shard

    def of(self, items: list[Item]) -> list[Item]:
        """This part of the items; it may be empty."""
        return items[self.i - 1 :: self.n]

    def __str__(self) -> str:
        return f"{self.i}/{self.n}"
