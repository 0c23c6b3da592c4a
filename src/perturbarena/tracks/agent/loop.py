"""One agent's conversation: ask the model, run what it asks for, count, stop at the limit with a chance to answer.

Calls are counted here, where they are run, and not by an error raised inside a tool: a model is told of a tool's
error and would go on for ever. One call is kept back for each result that must still be handed in, so that a
question never makes more calls than its track allows and can always end with an answer.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    Model,
    ModelOutput,
)
from inspect_ai.tool import ToolCall, ToolCallError, ToolInfo, ToolParams
from inspect_ai.util import span

from perturbarena.challenge.records import Question
from perturbarena.tracks.agent.roles import Role
from perturbarena.tracks.agent.settings import AgentSettings
from perturbarena.tracks.agent.toolbox import ToolBox
from perturbarena.tracks.agent.trace import Recorder
from perturbarena.tracks.prompt.calls import written_by
from perturbarena.tracks.running.model import call_config
from perturbarena.tracks.running.server import Failure, Failures, Server
from perturbarena.tracks.tools import ToolResult, check_arguments

TOOL_LIMIT: Final = "tool_limit"
"""The reason of a question whose last call was no answer."""
_SUM_TOLERANCE: Final = 1e-6
Delegates = Mapping[str, Callable[[str], Awaitable[str]]]
"""Tools by which one agent asks another: name → question → report."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a conversation ended: with validated values, with a text, or with neither and a reason."""

    values: Mapping[str, float] | None = None
    text: str = ""
    reason: str = ""


@dataclass(slots=True)
class QuestionRun:
    """One question under way: its agents share the recorder and the count of calls."""

    question: Question
    settings: AgentSettings
    model: Model
    server: Server
    toolbox: ToolBox
    recorder: Recorder = field(default_factory=Recorder)
    calls: int = 0
    rejected: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    messages: list[ChatMessage] = field(default_factory=list)
    """Of the conversation that ended last, for inspect's log."""

    @property
    def left(self) -> int:
        """Calls until the limit."""
        return self.settings.max_tool_calls - self.calls


class Conversation:
    """One agent at work. ``later`` calls are kept back for agents that come after it."""

    def __init__(
        self,
        run: QuestionRun,
        role: Role,
        opening: str,
        *,
        later: int,
        main: bool,
        delegates: Delegates | None = None,
    ) -> None:
        self._run, self._role, self._later = run, role, later
        self._delegates = delegates or {}
        self._user = run.question.id if main else f"{run.question.id}/{role.name}"
        self._infos = [
            ToolInfo(
                name=tool.name, description=tool.description, parameters=ToolParams.model_validate(tool.parameters)
            )
            for tool in role.shown
        ]
        self._messages: list[ChatMessage] = [ChatMessageSystem(content=role.system)]
        self._missing = 0
        self._warned = False
        self._say(opening)

    async def run(self) -> Ended:
        """Go on until there is a result or a reason why there is none."""
        async with span(self._role.name, type="agent"):
            while True:
                ended = await self._turn()
                if ended is not None:
                    self._run.messages = self._messages
                    return ended

    @property
    def _free(self) -> int:
        """Calls that may go to anything but handing in results."""
        return self._run.left - self._later - (self._role.ends is not None)

    async def _turn(self) -> Ended | None:
        if self._role.ends is not None and self._run.left <= self._later:
            return Ended(reason=TOOL_LIMIT)
        closing = self._free <= 0 and bool(self._role.tools)
        if closing and not self._warned:
            self._warned = True
            self._say(_last_chance(self._role))
        infos = self._infos
        if closing:
            infos = [info for info in infos if self._role.ends is not None and info.name == self._role.ends.name]
        output = await self._ask(infos)
        if isinstance(output, Failure):
            return Ended(reason=output.reason)
        return await self._react(output, closing=closing)

    async def _ask(self, infos: list[ToolInfo]) -> ModelOutput | Failure:
        run = self._run
        failures = Failures()
        began = time.monotonic()
        config = call_config(run.settings, user=self._user, seed=run.settings.seed)
        outcome = await run.server.send(
            lambda: run.model.generate(self._messages, tools=infos, config=config), failures
        )
        run.failures += failures.kinds
        seconds = round(time.monotonic() - began, 3)
        if isinstance(outcome, Failure):
            run.recorder.add(
                "failed", self._role.name, reason=outcome.reason, failures=failures.kinds, seconds=seconds
            )
            return outcome
        run.server.open()
        written, usage = written_by(outcome), run.server.usage(outcome)
        run.recorder.add(
            "model", self._role.name, content=written.content, reasoning=written.reasoning,
            asks=[_asked(call) for call in _tool_calls(outcome)], cut=0, stop_reason=str(outcome.stop_reason),
            input_tokens=usage.read, output_tokens=usage.written, total_tokens=usage.total,
            offered=[info.name for info in infos], failures=failures.kinds, seconds=seconds,
        )  # fmt: skip
        return outcome

    async def _react(self, output: ModelOutput, *, closing: bool) -> Ended | None:
        asked = _tool_calls(output)
        step = self._run.recorder.steps[-1]
        fitting = self._fitting(asked, closing=closing)
        step["cut"] = len(asked) - len(fitting)
        if not fitting:
            return self._no_call(output, step["content"])
        message = output.choices[0].message.model_copy(update={"tool_calls": fitting})
        self._messages.append(message)
        for number, call in enumerate(fitting):
            # a delegated question makes calls of its own, so what fitted a moment ago may not fit any more
            if number and not self._fitting([call], closing=self._free <= 0 and bool(self._role.tools), more=True):
                message.tool_calls = fitting[:number]
                step["cut"] += len(fitting) - number
                return None
            result, values = await self._call(call, closing=closing)
            error = ToolCallError("unknown", result.detail) if result.error else None
            self._messages.append(
                ChatMessageTool(
                    content=result.text or result.detail, tool_call_id=call.id, function=call.function, error=error
                )
            )
            if values is not None:
                step["cut"] += len(fitting) - number - 1
                return Ended(values=values)
        return None

    def _fitting(self, asked: list[ToolCall], *, closing: bool, more: bool = False) -> list[ToolCall]:
        """The calls that may still be made, in the model's order.

        Where only the result may be handed in, another call is let through, counted and refused, so that a model
        that never stops comes to an end; not so behind others (``more``).
        """
        ends = self._role.ends
        room, free = self._run.left - self._later, self._free
        if ends is None:
            return asked[: max(free, 0)]
        fitting: list[ToolCall] = []
        for call in asked:
            takes = call.function != ends.name
            if room > 0 and (not takes or (free > 0 and not closing)):
                fitting.append(call)
                room -= 1
                free -= takes
        return fitting or ([] if more else asked[:1])

    def _no_call(self, output: ModelOutput, content: str) -> Ended | None:
        text = content.strip()
        if text and self._role.ends is None:
            return Ended(text=text)
        reason = str(output.stop_reason) if output.stop_reason not in ("stop", "tool_calls", "unknown") else ""
        if reason == "model_length":
            return Ended(reason=reason)
        reason = reason or ("no_answer_call" if text else "empty")
        if self._missing >= self._run.settings.retries:
            return Ended(reason=reason)
        self._missing += 1
        self._run.rejected.append(reason)
        if text:  # an empty turn leaves nothing to reply to: the same is asked again
            self._messages.append(ChatMessageAssistant(content=text))
            assert self._role.ends is not None
            self._say(f"Hand in your result by calling {self._role.ends.name}; a text is not read.")
        return None

    async def _call(self, call: ToolCall, *, closing: bool) -> tuple[ToolResult, Mapping[str, float] | None]:
        """Run one call and record it; the second value is a valid result."""
        self._run.calls += 1
        began = time.monotonic()
        values = None
        ends = self._role.ends
        if call.parse_error:
            result = ToolResult(
                "", "malformed", f"the arguments are not JSON that the tool can read: {call.parse_error}"
            )
        elif ends is not None and call.function == ends.name:
            problem = check_arguments(ends.parameters, call.arguments) or _not_probabilities(call.arguments)
            result = ToolResult("" if problem else "taken", "invalid" if problem else "", problem)
            values = None if problem else {name: float(value) for name, value in call.arguments.items()}
        elif closing:
            result = ToolResult("", "limit", "no calls are left but the one that hands in the result")
        else:
            result = await self._look_up(call)
        self._run.recorder.add(
            "tool", self._role.name, id=call.id, name=call.function, arguments=call.arguments,
            written=_written_arguments(call), result=result.text, error=result.error, detail=result.detail,
            blocked=dict(result.blocked), seconds=round(time.monotonic() - began, 4),
        )  # fmt: skip
        return result, values

    async def _look_up(self, call: ToolCall) -> ToolResult:
        names = [tool.name for tool in self._role.shown]
        if call.function not in names:
            return ToolResult("", "unknown", f"there is no tool {call.function!r}; there are {', '.join(names)}")
        schema = next(tool for tool in self._role.tools if tool.name == call.function)
        problem = check_arguments(schema.parameters, call.arguments)
        if problem:
            return ToolResult("", "invalid", problem)
        if call.function in self._delegates:
            return ToolResult(await self._delegates[call.function](str(call.arguments["question"])))
        return await self._run.toolbox.call(call.function, call.arguments)

    def _say(self, text: str) -> None:
        self._messages.append(ChatMessageUser(content=text))
        self._run.recorder.add("user", self._role.name, content=text)


def _tool_calls(output: ModelOutput) -> list[ToolCall]:
    return list(output.choices[0].message.tool_calls or ()) if output.choices else []


def _asked(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "name": call.function, "arguments": call.arguments, "parse_error": call.parse_error}


def _written_arguments(call: ToolCall) -> str:
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in call.arguments.items())


def _not_probabilities(arguments: Mapping[str, Any]) -> str:
    values = [float(value) for value in arguments.values()]
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in values):
        return f"probabilities lie between 0 and 1; got {', '.join(map(str, arguments.values()))}"
    if sum(values) > 1 + _SUM_TOLERANCE:
        return f"p_up and p_down sum to at most 1; got {sum(values):g}"
    return ""


def _last_chance(role: Role) -> str:
    if role.ends is None:
        return "No tool calls are left. Write your report now, from what you have found."
    return f"No tool calls are left but one. Hand in your result now by calling {role.ends.name}."
