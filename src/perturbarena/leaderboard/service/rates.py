"""How often somebody may do something: leaky buckets in memory, one for each (what, who).

They are each process's own and forgotten at a restart. Limits that a ranking rests on (submissions a day) are kept
in the database; these only slow down probing and guessing.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from perturbarena.errors import BoardError

MAX_BUCKETS: Final = 50_000
"""Beyond this the bucket used longest ago is forgotten."""


class TooOftenError(BoardError):
    """Asked too often; ``retry_after`` is in whole seconds."""

    def __init__(self, what: str, retry_after: int) -> None:
        super().__init__(f"{what}: try again in {retry_after} s", reason="limit")
        self.retry_after = retry_after


class _Bucket(NamedTuple):
    level: float
    at: float


class Rates:
    """Buckets that leak at a steady rate and overflow when filled too fast."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], _Bucket] = OrderedDict()

    def take(self, what: str, who: str, *, capacity: float, seconds_each: float) -> None:
        """Count one of ``what`` for ``who``.

        Raises
        ------
        TooOftenError
            If more than ``capacity`` stand in the bucket, of which one leaks out every ``seconds_each``.
        """
        level = self._level(what, who, seconds_each)
        if level + 1 > capacity:
            raise TooOftenError(what, max(1, math.ceil((level + 1 - capacity) * seconds_each)))
        self._put(what, who, level + 1)

    def check(self, what: str, who: str, *, capacity: float, seconds_each: float) -> None:
        """As :meth:`take`, without counting."""
        level = self._level(what, who, seconds_each)
        if level + 1 > capacity:
            raise TooOftenError(what, max(1, math.ceil((level + 1 - capacity) * seconds_each)))

    def _level(self, what: str, who: str, seconds_each: float) -> float:
        bucket = self._buckets.get((what, who))
        return 0.0 if bucket is None else max(0.0, bucket.level - (self._clock() - bucket.at) / seconds_each)

    def _put(self, what: str, who: str, level: float) -> None:
        self._buckets[what, who] = _Bucket(level, self._clock())
        self._buckets.move_to_end((what, who))
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)


def neighbourhood(address: str | None) -> str:
    """What counts as one address: an IPv4 address, or the /64 network of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
