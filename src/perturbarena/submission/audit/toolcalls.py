"""Tool calls as a trace shows them.

A trace that is JSON is walked: numbered keys (``tool_name_0``, ``observation_0``), chat messages with
``tool_calls`` and the role ``tool``, steps with a key ``tool``. Any other text is searched for the marks that
agents leave: ``<tool_call>``, ``Action: name``, ``to=functions.name``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

FRAMEWORK_TOOLS: Final = frozenset({"finish", "final_answer", "submit"})
"""Names under which agent frameworks end a conversation; no tool of the entrant's."""
NO_TOOL: Final = frozenset({"", "none", "null", "n/a"})
"""What stands in place of a tool's name where none is called."""
_KEYS: Final = re.compile(r"tool(?:_name)?(?:_\d+)?|action_\d+")
_OBSERVED: Final = re.compile(r"(?:observation|tool_result|tool_output)(?:_\d+)?")
_CALL: Final = re.compile(
    r"<tool_call>\s{0,5}\{\s{0,5}\"name\"\s{0,3}:\s{0,3}\"(?P<tagged>[\w.\-]{1,64})\""
    r"|^ {0,4}Action ?: ?(?P<action>[A-Za-z_][\w.\-]{0,63})"
    r"|to=functions\.(?P<channel>[\w.\-]{1,64})"
    r"|\[tool[ _]call\] ?(?P<bracket>[A-Za-z_][\w.\-]{0,63})",
    re.MULTILINE,
)
_RESULT: Final = re.compile(r"<tool_response>|^ {0,4}Observation ?:|\[tool[ _]result\]", re.MULTILINE)

_RESULT_LINE: Final = re.compile(
    r"(?:<tool_response>|^ {0,4}Observation ?:|\[tool[ _]result\])[^\n]{0,4000}", re.MULTILINE
)


class ToolUse(NamedTuple):
    """Names of the tools that a trace calls, one for each call, and how many results it shows."""

    names: tuple[str, ...]
    n_results: int


def tool_use(trace: str) -> ToolUse:
    """The tool calls in one trace."""
    record = parsed(trace)
    if record is None:
        names = tuple(next(filter(None, match.groups())) for match in _CALL.finditer(trace))
        return ToolUse(names, len(_RESULT.findall(trace)))
    names, results = [], 0
    for key, value in _fields(record):
        if _KEYS.fullmatch(key) and isinstance(value, str) and value.strip().lower() not in NO_TOOL:
            names.append(value)
        elif key == "function" and isinstance(value, dict) and isinstance(value.get("name"), str):
            names.append(value["name"])
        results += _OBSERVED.fullmatch(key) is not None or (key == "role" and value == "tool")
    return ToolUse(tuple(names), results)


def parsed(trace: str) -> Any:
    """The JSON object or list that a trace is, or None."""
    if trace.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(trace)
    except (ValueError, RecursionError):
        return None


def own_words(trace: str) -> str:
    """A trace without the results of its tools, which honest traces share."""
    record = parsed(trace)
    if not isinstance(record, dict):
        return trace
    said = [str(value) for key, value in record.items() if isinstance(value, str) and not _OBSERVED.fullmatch(key)]
    return "\n".join(said)


def tool_results(trace: str) -> str:
    """What the tools of a trace returned, as far as it can be told from the rest."""
    record = parsed(trace)
    if record is None:
        return "\n".join(_RESULT_LINE.findall(trace))
    return "\n".join(str(value) for key, value in _fields(record) if _OBSERVED.fullmatch(key))


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, at any depth; without recursion, because depth is the stranger's choice."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from item.items()
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
