"""Boards kept ready as bytes: made once for each state of the board, whoever asks.

The state is the challenge's version, which every change of what is listed raises, with the phase and the
embargoes, which time changes. The database is asked for it at most every ``fresh_seconds``. Making a page anew
takes a while; readers are kept waiting for it only for a moment, and then get the page as it was.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from perturbarena.leaderboard.service.desk import in_thread

STALE_SECONDS: Final = 5.0
"""A page that has not been checked or remade for so long is not handed out any more."""
MAX_PAGES: Final = 500
SHORT_TURN_SECONDS: Final = 0.0005
"""How long the making of a page may hold the interpreter while readers wait for it; Python's default is ten times
as long, and an answer takes several turns."""


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A page's bytes, plain and compressed, with what a part of it is used for elsewhere."""

    body: bytes
    zipped: bytes
    etag: str
    part: str


Make = Callable[[], tuple[str, str]]
"""Makes the part and the whole page."""


@dataclass(slots=True)
class _Slot:
    state: Any = None
    page: KeptPage | None = None
    checked: float = float("-inf")
    """When the page was last known to be as it should."""
    task: asyncio.Task[None] | None = field(default=None)


class KeptPages:
    """Pages by key, each remade when its state has changed. Shortens the process's turns of the interpreter."""

    def __init__(self, *, fresh_seconds: float, patience_seconds: float) -> None:
        self._fresh, self._patience = fresh_seconds, patience_seconds
        sys.setswitchinterval(min(SHORT_TURN_SECONDS, sys.getswitchinterval()))
        self._slots: dict[Any, _Slot] = {}

    async def get(self, key: Any, *, state: Callable[[], Any], make: Make) -> KeptPage:
        """The page of ``key``: as kept if ``state()`` is as it was, otherwise made anew.

        Both are called in a thread. The page may be up to ``STALE_SECONDS`` old while a new one is being made.
        """
        slot = self._slots.setdefault(key, _Slot())
        age = time.monotonic() - slot.checked
        if slot.page is not None and age < self._fresh:
            return slot.page
        task = slot.task
        if task is None:
            task = slot.task = asyncio.create_task(self._renew(key, slot, state, make))
            task.add_done_callback(_heard)
        if slot.page is not None and age < STALE_SECONDS:
            await asyncio.wait({task}, timeout=self._patience)
        else:
            await asyncio.shield(task)
        assert slot.page is not None, "the task made it, or has raised"
        return slot.page

    async def _renew(self, key: Any, slot: _Slot, state: Callable[[], Any], make: Make) -> None:
        try:
            asked = time.monotonic()
            now = await in_thread(state)
            if slot.page is None or slot.state != now:
                slot.page, slot.state = await in_thread(_page, make), now
            slot.checked = asked
            self._forget_some(key, slot)
        finally:
            slot.task = None

    def _forget_some(self, key: Any, slot: _Slot) -> None:
        self._slots.pop(key, None)
        self._slots[key] = slot
        while len(self._slots) > MAX_PAGES:
            del self._slots[next(iter(self._slots))]


def _heard(task: asyncio.Task[None]) -> None:
    """A failure is told to the readers who waited; where all of them got the page as it was, to nobody."""
    if not task.cancelled():
        task.exception()


def _page(make: Make) -> KeptPage:
    part, whole = make()
    body = whole.encode()
    zipped = gzip.compress(body, compresslevel=6, mtime=0)
    return KeptPage(body, zipped, f'"{hashlib.sha256(body).hexdigest()[:32]}"', part)
