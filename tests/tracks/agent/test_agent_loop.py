"""The loop's arithmetic, against models that do anything: no limit is passed, and every question ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput
from inspect_ai.tool import ToolCall

from perturbarena.challenge.records import Question
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import InputError
from perturbarena.tracks.agent import agent_prompts, make_roles, resolve_agent_settings
from perturbarena.tracks.agent.designs import DESIGNS
from perturbarena.tracks.agent.loop import QuestionRun
from perturbarena.tracks.agent.roles import check_limits, distinct_tools
from perturbarena.tracks.agent.toolbox import ToolBox
from perturbarena.tracks.agent.trace import numbers
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.progress import Counts
from perturbarena.tracks.running.server import Failure, Failures, Server
from perturbarena.tracks.running.tokens import TokenCounter
from perturbarena.tracks.tools import tool_set

RULES = load_challenge("bioreasoning-2026")
ANSWER = ("answer", {"p_up": 0.25, "p_down": 0.5})


def look_up(gene: str) -> str:
    """What is known."""
    return f"{gene}: nothing"


class Scripted:
    """Answers in turn with batches of calls, or texts; the last one for ever."""

    def __init__(self, turns: Sequence[Any]) -> None:
        self.turns, self.seen, self.offered = list(turns), 0, []

    async def generate(self, messages: Any, *, tools: Any, config: Any) -> ModelOutput:
        turn = self.turns[min(self.seen, len(self.turns) - 1)]
        self.seen += 1
        self.offered.append([tool.name for tool in tools])
        assert all(isinstance(message.content, str) for message in messages)
        calls = None
        if not isinstance(turn, str):
            calls = [
                ToolCall(
                    id=f"{self.seen}-{i}", function=name, arguments=arguments, parse_error=arguments.get("bad")
                )
                for i, (name, arguments) in enumerate(turn)
            ]
        message = ChatMessageAssistant(content=turn if calls is None else "", tool_calls=calls)
        return ModelOutput(model="m", choices=[ChatCompletionChoice(message=message)])


def solve(turns: Sequence[Any], *, design: str = "react", limit: int = 250, retries: int = 2):
    """The verdict, the run and the model."""
    chosen = resolve_agent_settings(
        RULES, "B", design=design, model="mockllm/model", max_tool_calls=limit, retries=retries
    )
    toolbox = ToolBox(tool_set(look_up))
    roles = make_roles(design, agent_prompts(design, RULES.biology).systems, toolbox.schemas)
    model = Scripted(turns)

    async def go():
        server = Server(Transport(), counts=Counts())
        run = QuestionRun(Question("P_G", "P", "G"), chosen, model, server, toolbox)  # pyright: ignore[reportArgumentType]
        return await DESIGNS[design](run, roles, "P on G?"), run

    verdict, run = anyio.run(go)
    return verdict, run, model


LOOK = ("look_up", {"gene": "G"})
calls = st.sampled_from(
    [
        LOOK,
        ANSWER,
        ("answer", {"p_up": 0.9, "p_down": 0.9}),
        ("answer", {"p_up": float("nan"), "p_down": 0.1}),
        ("judge_moved", {"p_moved": 0.4}),
        ("ask_biology", {"question": "what?"}),
        ("ask_data", {}),
        ("no_such_tool", {"x": 1}),
        ("look_up", {"bad": "unreadable"}),
    ]
)
turns = st.lists(
    st.lists(calls, min_size=1, max_size=5) | st.sampled_from(["", "I refuse."]), min_size=1, max_size=9
)


@settings(deadline=None, max_examples=150)
@given(turns, st.sampled_from(sorted(DESIGNS)), st.integers(1, 12))
def test_no_script_passes_the_limit_and_every_question_ends(script, design, limit):
    verdict, run, _ = solve(script, design=design, limit=limit)
    found = numbers(run.recorder.steps)
    assert found.tool_calls == run.calls <= limit
    assert json.loads(json.dumps(run.recorder.steps, allow_nan=False)) == run.recorder.steps
    if verdict.reason:
        assert verdict.reason in ("tool_limit", "empty", "no_answer_call")
    else:
        assert 0 <= verdict.p_up <= 1
        assert 0 <= verdict.p_down <= 1
        assert verdict.p_up + verdict.p_down <= 1 + 1e-6


@pytest.mark.parametrize("batch", [1, 3, 7, 300])
@pytest.mark.parametrize("design", sorted(DESIGNS))
def test_a_model_that_never_stops_ends_at_exactly_the_limit(batch, design):
    verdict, run, _ = solve([[LOOK] * batch], design=design, limit=250)
    assert verdict.reason == "tool_limit"
    assert run.calls == numbers(run.recorder.steps).tool_calls == 250


def test_the_last_call_is_kept_for_the_answer():
    verdict, run, model = solve([[LOOK] * 8, [ANSWER]], limit=6)
    assert (verdict.p_up, verdict.p_down, verdict.how) == (0.25, 0.5, "answer")
    assert (run.calls, numbers(run.recorder.steps).cut) == (6, 3)
    assert model.offered == [["look_up", "answer"], ["answer"]]


def test_calls_behind_the_answer_are_not_made():
    verdict, run, _ = solve([[ANSWER, LOOK, LOOK]])
    assert (verdict.how, run.calls, numbers(run.recorder.steps).cut) == ("answer", 1, 2)


def test_two_delegations_share_the_limit_and_leave_the_answer():
    ask = ("ask_biology", {"question": "?"})
    verdict, run, _ = solve([[ask, ask], [LOOK], [LOOK], [LOOK], "report", [ANSWER]], design="team", limit=5)
    assert (verdict.how, run.calls) == ("answer", 5)
    assert [step["name"] for step in run.recorder.steps if step["type"] == "tool"] == [
        "look_up", "look_up", "look_up", "ask_biology", "answer",
    ]  # fmt: skip


def test_the_second_judge_sets_the_direction_and_the_first_how_much():
    script = ["a", "b", [("judge_moved", {"p_moved": 0.4})], "c", "d", [("answer", {"p_up": 0.6, "p_down": 0.2})]]
    verdict, _, _ = solve(script, design="debate")
    assert (verdict.how, verdict.p_up, verdict.p_down) == ("judges", pytest.approx(0.3), pytest.approx(0.1))


def test_a_text_is_asked_for_again_then_recorded():
    verdict, run, _ = solve(["I refuse."], retries=2)
    assert (verdict.reason, run.rejected) == ("no_answer_call", ["no_answer_call"] * 2)
    verdict, run, _ = solve(["", "", [ANSWER]], retries=2)
    assert (verdict.how, run.rejected) == ("answer", ["empty"] * 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"p_up": 0.7, "p_down": 0.7}, "sum to at most 1"),
        ({"p_up": -0.1, "p_down": 0.2}, "between 0 and 1"),
        ({"p_up": "high", "p_down": 0.2}, "must be of type number"),
        ({"p_up": 0.2}, "p_down is missing"),
    ],
)
def test_a_wrong_answer_is_explained_counted_and_may_be_mended(arguments, told):
    verdict, run, _ = solve([[("answer", arguments)], [ANSWER]])
    first = next(step for step in run.recorder.steps if step["type"] == "tool")
    assert first["error"] == "invalid"
    assert told in first["detail"]
    assert (verdict.how, run.calls) == ("answer", 2)


def test_prompts_and_tools_are_held_to_the_limits():
    counter = TokenCounter("words", exact=True, count=lambda text: len(text.split()))
    toolbox = ToolBox(tool_set(look_up))
    roles = make_roles("team", agent_prompts("team", RULES.biology).systems, toolbox.schemas)
    assert distinct_tools(roles) == 4
    check_limits(roles, counter, max_tokens=16384, max_tools=4)
    with pytest.raises(InputError, match="4 different tools; the track allows 3"):
        check_limits(roles, counter, max_tokens=None, max_tools=3)
    with pytest.raises(InputError, match=r"system prompt and tools of coordinator have \d+ tokens"):
        check_limits(roles, counter, max_tokens=50, max_tools=None)


def test_a_reply_that_is_no_completion_is_a_failure_and_not_a_crash():
    async def broken() -> ModelOutput:
        raise json.JSONDecodeError("cut off", "{", 1)

    async def go():
        server = Server(Transport(attempts=1), counts=Counts())
        return await server.send(broken, Failures())

    outcome = anyio.run(go)
    assert isinstance(outcome, Failure)
    assert outcome.reason == "transport:malformed reply (JSONDecodeError)"
