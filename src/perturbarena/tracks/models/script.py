"""Scripted turns: tool calls first, then a final answer, for testing agents without a model.

The file is JSON: a list of turns, or an object of such lists by question id with ``"*"`` for all others. Agents
that work for the one who answers call themselves ``ID/ROLE``; ``"*/ROLE"`` stands for such a one in all questions.

A turn is ``{"tool": NAME, "arguments": {…}}``, ``{"tools": [{"tool": …}, …]}`` for several at once, or
``{"answer": TEXT}``; ``"content"`` may stand beside a tool call, and arguments that are a text are sent as they
stand, valid JSON or not. The number of assistant messages in a request says which turn it is, so the server
remembers nothing; after its last turn a script repeats it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from perturbarena.errors import FormatError
from perturbarena.tracks.models.completion import Answer, ToolCall
from perturbarena.tracks.models.conversation import Conversation

EVERY: Final = "*"
Script = Mapping[str, Sequence[Answer]]


def read_script(path: Path) -> Script:
    """Turns by question id, ``"*"`` for all others.

    Raises
    ------
    FormatError
        If the file is not JSON or a turn is neither a tool call nor an answer.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise FormatError(f"{path} cannot be read as JSON: {error}") from error
    by_question = raw if isinstance(raw, dict) else {EVERY: raw}
    return {name: _turns(turns, f"{path}, {name}") for name, turns in by_question.items()}


def scripted(script: Script, conversation: Conversation) -> Answer | None:
    """The conversation's turn; None where the script has none for its question."""
    question = conversation.question
    _, slash, role = question.rpartition("/")
    turns = script.get(question) or (script.get(f"{EVERY}/{role}") if slash else None) or script.get(EVERY)
    return turns[min(conversation.turn, len(turns) - 1)] if turns else None


def _turns(raw: object, where: str) -> list[Answer]:
    if not isinstance(raw, list) or not raw:
        raise FormatError(f"{where}: a script is a list of at least one turn; got {raw!r}")
    return [_turn(turn, f"{where}, turn {i}") for i, turn in enumerate(raw, start=1)]


def _turn(raw: object, where: str) -> Answer:
    if isinstance(raw, dict) and isinstance(raw.get("answer"), str):
        return Answer("", raw["answer"])
    calls = raw.get("tools", [raw]) if isinstance(raw, dict) else []
    if (
        not isinstance(raw, dict)
        or not calls
        or not all(isinstance(call, dict) and isinstance(call.get("tool"), str) for call in calls)
    ):
        raise FormatError(f'{where}: needs "tool", "tools" or "answer"; got {json.dumps(raw)}')
    return Answer("", str(raw.get("content", "")), tool_calls=[_tool_call(call) for call in calls])


def _tool_call(raw: Mapping[str, Any]) -> ToolCall:
    return ToolCall(raw["tool"], raw.get("arguments", {}))
