"""Boards kept ready as bytes: made once for each state of the board, whoever asks.

The state is the challenge's version, which every change of what is listed raises, with the phase, which time
changes. The database is asked for it at most every ``fresh_seconds``; while a new page is being made, readers get
the old one.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from perturbarena.leaderboard.service.desk import in_thread

STALE_SECONDS: Final = 5.0
"""A page that could not be checked for so long is not handed out any more."""
MAX_PAGES: Final = 500


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A page's bytes, plain and compressed, with what a part of it is used for elsewhere."""

    body: bytes
    zipped: bytes
    etag: str
    part: str


@dataclass(slots=True)
class _Slot:
    state: Any
    page: KeptPage
    checked: float


Make = Callable[[Any], tuple[str, str]]
"""State → (the part, the whole page)."""


class KeptPages:
    """Pages by key, each remade when its state has changed."""

    def __init__(self, *, fresh_seconds: float) -> None:
        self._fresh = fresh_seconds
        self._slots: dict[Any, _Slot] = {}
        self._locks: dict[Any, asyncio.Lock] = {}

    def ready(self, key: Any) -> KeptPage | None:
        """The page, if it needs no look at the database."""
        slot = self._slots.get(key)
        return slot.page if slot is not None and time.monotonic() - slot.checked < self._fresh else None

    async def get(self, key: Any, *, state: Callable[[], Any], make: Make) -> KeptPage:
        """The page of ``key``: as kept if ``state()`` is as it was, otherwise made anew."""
        page = self.ready(key)
        if page is not None:
            return page
        lock = self._locks.setdefault(key, asyncio.Lock())
        slot = self._slots.get(key)
        if lock.locked() and slot is not None and time.monotonic() - slot.checked < STALE_SECONDS:
            return slot.page
        async with lock:
            page = self.ready(key)
            if page is not None:
                return page
            checked = time.monotonic()
            now = await in_thread(state)
            slot = self._slots.get(key)
            if slot is None or slot.state != now:
                slot = _Slot(now, await in_thread(_make, make, now), checked)
                self._put(key, slot)
            slot.checked = checked
            return slot.page

    def _put(self, key: Any, slot: _Slot) -> None:
        self._slots.pop(key, None)
        self._slots[key] = slot
        while len(self._slots) > MAX_PAGES:
            oldest = next(iter(self._slots))
            del self._slots[oldest]
            self._locks.pop(oldest, None)


def _make(make: Make, state: Any) -> KeptPage:
    part, whole = make(state)
    body = whole.encode()
    zipped = gzip.compress(body, compresslevel=6, mtime=0)
    return KeptPage(body, zipped, f'"{hashlib.sha256(body).hexdigest()[:32]}"', part)
