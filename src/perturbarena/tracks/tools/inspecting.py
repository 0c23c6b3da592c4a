"""A tool set as inspect-ai takes it, for agents written there by hand."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from perturbarena.tracks.tools.toolset import ToolSet

if TYPE_CHECKING:
    from inspect_ai.tool import ToolDef


def as_inspect_tools(tools: ToolSet) -> list[ToolDef]:
    """The tools as inspect-ai takes them: each call runs in a thread, so that others go on meanwhile."""
    from inspect_ai.tool import ToolDef

    return [ToolDef(_in_thread(tool.function), name=name) for name, tool in tools.items()]


def _in_thread(function: Callable[..., object]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        from anyio.to_thread import run_sync

        return await run_sync(functools.partial(function, *args, **kwargs))

    return call
