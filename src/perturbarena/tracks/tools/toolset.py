"""Tools that ship: plain typed functions, grouped in sets, usable alone or shown to a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import KnowledgeBase
from perturbarena.tracks.tools.schema import MARK, ToolSchema, ToolSchemaError, describe

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Tool:
    """A function and what a model is shown of it."""

    function: Callable[..., object]
    schema: ToolSchema

    @property
    def uses_training_labels(self) -> bool:
        """True where answers depend on labels of training rows; a ranked run asks the rules about that."""
        return self.schema.uses_training_labels


class ToolSet(Mapping[str, Tool]):
    """Tools by name, in order. Sets are joined by ``|``; a name may stand once."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        """Hold these tools.

        Raises
        ------
        InputError
            If two have one name.
        """
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.schema.name in self._tools:
                raise InputError(f"two tools are named {tool.schema.name}; rename one")
            self._tools[tool.schema.name] = tool

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    def __or__(self, other: ToolSet) -> ToolSet:
        return ToolSet((*self.values(), *other.values()))


def tool_set(*functions: Callable[..., object]) -> ToolSet:
    """A set of typed functions with docstrings.

    Raises
    ------
    InputError
        If one of them cannot be a tool.
    """
    try:
        return ToolSet(Tool(function, describe(function)) for function in functions)
    except ToolSchemaError as error:
        raise InputError(str(error)) from error


def uses_training_labels(function: F) -> F:
    """Mark a function whose answers depend on labels of training rows.

    In a folder of one's own tools the same is said by ``function.uses_training_labels = True``.
    """
    setattr(function, MARK, True)
    return function


def built_in_tools(
    knowledge: Path | None = None, *, train: LabelledQuestions | None = None, hidden: Questions | None = None
) -> ToolSet:
    """The tools that ship, over a knowledge store; without one there are none.

    Parameters
    ----------
    knowledge
        The store.
    train
        Training rows: adds tools that tell what was measured for genes like the asked ones. They are marked.
    hidden
        Every question that will be asked. Needed with ``train``: rows that share a name with one are not seen.

    Raises
    ------
    InputError
        If there is no such store, or there are training rows and no hidden questions or no row that may be seen.
    """
    from perturbarena.tracks.tools.builtin import KnowledgeTools
    from perturbarena.tracks.tools.training import TrainingTools

    if knowledge is None:
        return ToolSet()
    if not knowledge.exists():
        raise InputError(f"no such knowledge store: {knowledge}")
    base = KnowledgeBase.open(knowledge)
    own = KnowledgeTools(base).tools()
    if train is None:
        return tool_set(*own)
    if hidden is None:
        raise InputError("tools over training rows need the questions that will be asked, to hide their names")
    return tool_set(*own, *TrainingTools(base, train, hidden=hidden).tools())
