"""Scripted turns: tool calls, then an answer."""

from __future__ import annotations

import json

import openai
import pytest

from perturbarena.errors import FormatError
from perturbarena.tracks.models import FakeModel
from perturbarena.tracks.models.script import read_script

TURNS = [
    {"tool": "look_up", "arguments": {"gene": "Stat1"}, "content": "Let me see."},
    {"tools": [{"tool": "look_up", "arguments": {"gene": "Irf7"}}, {"tool": "done"}]},
    {"answer": "<answer>B</answer>"},
]


def talk(client, n_turns, user):
    """Play a conversation of tool calls; the assistant's messages."""
    messages = [{"role": "user", "content": "Stat1, Irf7?"}]
    said = []
    for _ in range(n_turns):
        reply = client.chat.completions.create(model="m", messages=messages, user=user).choices[0]
        said.append(reply)
        messages.append(reply.message.model_dump(exclude_none=True))
        calls = reply.message.tool_calls or []
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "found"} for call in calls]
    return said


def test_a_script_is_played_turn_by_turn_and_its_end_repeated(tmp_path):
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"special": [{"answer": "<answer>A</answer>"}], "*": TURNS}))
    with (
        FakeModel(latency_ms=1, script=path) as fake,
        openai.OpenAI(base_url=fake.url, api_key="none", max_retries=0) as client,
    ):
        first, second, third, fourth = talk(client, 4, "anyone")
        assert (first.finish_reason, first.message.content) == ("tool_calls", "Let me see.")
        assert first.message.tool_calls[0].function.name == "look_up"
        assert json.loads(first.message.tool_calls[0].function.arguments) == {"gene": "Stat1"}
        assert [call.function.name for call in second.message.tool_calls] == ["look_up", "done"]
        assert len({call.id for turn in (first, second) for call in turn.message.tool_calls}) == 3
        assert (third.finish_reason, third.message.content) == ("stop", "<answer>B</answer>")
        assert fourth.message.content == "<answer>B</answer>"
        assert talk(client, 1, "special")[0].message.content == "<answer>A</answer>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "cannot be read as JSON"),
        ("[]", "at least one turn"),
        ('[{"tol": "x"}]', r'turn 1: needs "tool", "tools" or "answer"'),
        ('{"a": [{"answer": "x"}, {"tools": [{}]}]}', "a, turn 2"),
        ('["x"]', "turn 1"),
    ],
)
def test_a_wrong_script_is_refused_where_it_is_wrong(tmp_path, text, message):
    path = tmp_path / "script.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        read_script(path)
