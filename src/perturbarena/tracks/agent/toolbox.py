"""All lookups of a run behind one call: those that ship, in this process, and an entrant's own, in fenced ones."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final

from anyio import CapacityLimiter, to_thread

from perturbarena.errors import InputError, PerturbarenaError
from perturbarena.tracks.tools import ToolResult, ToolSchema, ToolSet, UserTools, check_arguments

LONGEST_RESULT: Final = 20_000
"""Characters of a result that a model is given; the rest is cut off, and the model is told."""


class ToolBox:
    """Lookups by name."""

    def __init__(self, shipped: ToolSet | None = None, own: UserTools | None = None) -> None:
        """Put both kinds together.

        Raises
        ------
        InputError
            If two tools have one name.
        """
        self._shipped, self._own = shipped or ToolSet(), own
        self._threads: CapacityLimiter | None = None
        owned = own.loaded.schemas if own is not None else ()
        self.schemas: tuple[ToolSchema, ...] = (*(tool.schema for tool in self._shipped.values()), *owned)
        self._by_name = {schema.name: schema for schema in self.schemas}
        if len(self._by_name) < len(self.schemas):
            names = [schema.name for schema in self.schemas]
            twice = next(name for name in names if names.count(name) > 1)
            raise InputError(f"two tools are named {twice}; rename one")

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def check(self, name: str, arguments: object) -> str:
        """What is wrong with the arguments, in words for the model; empty where nothing is."""
        return check_arguments(self._by_name[name].parameters, arguments)

    async def call(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool; whatever it does comes back as a result."""
        if name in self._shipped:  # lookups of milliseconds in a local store: a thread would cost as much
            return self.call_now(name, arguments)
        if self._threads is None:
            assert self._own is not None
            self._threads = CapacityLimiter(self._own.limits.workers)
        return await to_thread.run_sync(self.call_now, name, arguments, limiter=self._threads)

    def call_now(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        """The same, waiting."""
        if name in self._shipped:
            result = self._call_shipped(name, arguments)
        else:
            assert self._own is not None
            result = self._own.call(name, arguments)
        over = len(result.text) - LONGEST_RESULT
        if over <= 0:
            return result
        text = f"{result.text[:LONGEST_RESULT]}\n[{over:,} more characters were cut off]"
        return ToolResult(text, result.error, result.detail, result.seconds, result.blocked)

    def _call_shipped(self, name: str, arguments: Mapping[str, Any]) -> ToolResult:
        began = time.monotonic()
        try:
            value = self._shipped[name].function(**arguments)
        except PerturbarenaError as error:
            return ToolResult("", "raised", str(error), time.monotonic() - began)
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        return ToolResult(text, seconds=time.monotonic() - began)
