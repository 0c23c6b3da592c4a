"""All built-in tools over one store, as one list; for inspect-ai, the same list as its tool definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import KnowledgeBase
from perturbarena.tracks.tools.builtin import KnowledgeTools
from perturbarena.tracks.tools.evidence import Tool
from perturbarena.tracks.tools.training import TrainingTools

if TYPE_CHECKING:
    from inspect_ai.tool import ToolDef


def builtin_tools(
    base: KnowledgeBase, *, train: LabelledQuestions | None = None, hidden: Questions | None = None
) -> tuple[Tool, ...]:
    """The tools over the store, and those over training rows where there are any.

    Parameters
    ----------
    base
        The store.
    train
        Training rows; the tools over them are marked, see
        :func:`perturbarena.tracks.tools.evidence.uses_training_labels`.
    hidden
        Every question that will be asked. Needed with ``train``: rows that share a name with one are not seen.

    Raises
    ------
    InputError
        If there are training rows and no hidden questions, or no row is left.
    """
    own = KnowledgeTools(base).tools()
    if train is None:
        return own
    if hidden is None:
        raise InputError(
            "tools over training rows need the questions that will be asked, to leave out their names"
        )
    return (*own, *TrainingTools(base, train, hidden=hidden).tools())


def tool_named(tools: Sequence[Tool], name: str) -> Tool:
    """The tool of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    by_name = {tool.__name__: tool for tool in tools}
    if name not in by_name:
        raise InputError(f"no tool is called {name!r}; there are {', '.join(by_name)}")
    return by_name[name]


def as_inspect_tools(tools: Sequence[Tool]) -> list[ToolDef]:
    """The tools as inspect-ai takes them: each call runs in a thread, so that others go on meanwhile."""
    import functools

    import anyio.to_thread
    from inspect_ai.tool import ToolDef

    def in_thread(tool: Tool) -> Tool:
        @functools.wraps(tool)
        async def call(*args: str, **kwargs: str) -> str:
            return await anyio.to_thread.run_sync(functools.partial(tool, *args, **kwargs))

        return call  # type: ignore[return-value]  # inspect awaits it; to callers it is the same tool

    return [ToolDef(in_thread(tool), name=tool.__name__) for tool in tools]
