"""What every request shares: the store, the settings, the rates, the pages kept ready, the places for uploads."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from perturbarena.errors import BoardError
from perturbarena.leaderboard.phases import ChallengeInfo, challenge_info
from perturbarena.leaderboard.service.rates import Rates
from perturbarena.leaderboard.service.settings import ServiceSettings
from perturbarena.leaderboard.store import Store

if TYPE_CHECKING:
    from starlette.requests import Request

    from perturbarena.leaderboard.service.kept import KeptPages


class BusyError(BoardError):
    """All places for uploads are taken for the moment."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="limit")
        self.retry_after = 5


class Desk:
    """One per application; requests find it with :func:`desk_of`."""

    def __init__(self, store: Store, settings: ServiceSettings, *, templates: Any, kept: KeptPages) -> None:
        self.store = store
        self.settings = settings
        self.templates = templates
        self.kept = kept
        self.rates = Rates()
        self._uploads: Counter[int] = Counter()
        self._max_bytes: int | None = None
        self._info: ChallengeInfo | None = None
        self._info_at = float("-inf")

    def info(self) -> ChallengeInfo | None:
        """The challenge as it was a moment ago; None where the database has never been reached. Waits for it."""
        if time.monotonic() - self._info_at > self.settings.fresh_seconds:
            with contextlib.suppress(BoardError):  # a page that says what is wrong must not fail on it too
                self._info, self._info_at = challenge_info(self.store), time.monotonic()
        return self._info

    def max_bytes(self) -> int:
        """Largest file that may be handed in; it was settled when the challenge was made."""
        if self._max_bytes is None:
            self._max_bytes = challenge_info(self.store).max_bytes
        return self._max_bytes

    @asynccontextmanager
    async def upload_place(self, team_id: int) -> AsyncIterator[None]:
        """A place for one upload; BusyError where the team, or everybody together, has too many under way."""
        if self._uploads[team_id] >= self.settings.uploads_at_once_per_team:
            raise BusyError("your team's earlier uploads are still under way; try again in a moment")
        if self._uploads.total() >= self.settings.uploads_at_once:
            raise BusyError("many uploads are under way; try again in a moment")
        self._uploads[team_id] += 1
        try:
            yield
        finally:
            self._uploads[team_id] -= 1
            if not self._uploads[team_id]:
                del self._uploads[team_id]


def desk_of(request: Request) -> Desk:
    """The application's desk."""
    return request.app.state.desk


async def in_thread(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call something that waits for the database or the disk, off the event loop."""
    return await asyncio.to_thread(function, *args, **kwargs)
