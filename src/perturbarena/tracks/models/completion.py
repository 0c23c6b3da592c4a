"""What the fake says, and how the protocol wraps it: completions with usage and log probabilities."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from perturbarena.tracks.models.conversation import Conversation, count_tokens, draw, tokens
from perturbarena.tracks.parsing import DEFAULT_LETTERS

LOWEST_LOGPROB: Final = -9999.0
"""What servers send for a token of probability zero, because minus infinity is not JSON."""
GARBLE: Final = "I would want to see the measurements before saying anything about this pair."
"""A text in which no answer can be read."""

_PLAIN_LOGPROB: Final = -0.05
"""Of every token that is not the answer's letter; the fake has no opinion there."""
_OTHER_WORD: Final = " the"
_OTHER_LOGPROB: Final = -4.0
"""Of the one alternative to such a token."""
_LONGEST_TOKEN: Final = 64
"""Characters; what is longer is a recorded text's beginning, whose tokens were not recorded."""
_SURE: Final = 0.9
"""Probability of the letter in a given text that comes without probabilities."""
_CREATED: Final = 1_700_000_000
"""A fixed time stamp: the same request gets the same bytes."""
_LETTER: Final = re.compile(r"<answer>\s*([A-Z])", re.IGNORECASE)
_REASONS: Final = (
    "{a} and its targets share a programme in stimulated macrophages, so a change is plausible.",
    "Nothing links the two genes directly; an indirect route through cytokine signalling remains.",
    "Loss of this regulator dampens the response to LPS, and the target belongs to that response.",
    "The knockout removes a brake on transcription, which would leave more of the transcript.",
    "Both genes are housekeeping genes and the knockout is well tolerated.",
)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool that the model asks for."""

    name: str
    arguments: Mapping[str, Any] | str
    """A text is sent as it stands, valid JSON or not."""

    @property
    def written(self) -> str:
        """The arguments as the protocol carries them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says in one turn, before the protocol wraps it."""

    reasoning: str
    final: str
    p_letter: Mapping[str, float] | None = None
    """Probabilities of the letters; None where nothing is known of them."""
    tool_calls: Sequence[ToolCall] = ()
    reasoning_is_one_token: bool = False
    """Recorded texts come without their tokens: what precedes the last answer tag is then one log-prob entry."""


def invent(conversation: Conversation, *, seed: int, stated: bool) -> Answer:
    """An answer out of thin air, the same for the same messages, request seed and ``seed``.

    The three options get probabilities from the messages alone; the request's seed draws the letter, so that
    seeded calls agree about as often as those of a confident model do. Where a tool takes the probabilities, it is
    called with them.
    """
    weights = [draw(conversation.text, seed, letter).gammavariate(0.7, 1.0) for letter in DEFAULT_LETTERS]
    p_letter = {letter: w / sum(weights) for letter, w in zip(DEFAULT_LETTERS, weights, strict=True)}
    rng = conversation.draw(seed)
    reason = rng.choice(_REASONS).format(a="The perturbed gene")
    asked = _probability_tool(conversation)
    if asked is not None:
        shares = [p_letter["A"], p_letter["B"]]
        arguments = {name: round(share, 3) for name, share in zip(asked[1], shares, strict=False)}
        return Answer(reason, "", p_letter, tool_calls=[ToolCall(asked[0], arguments)])
    letter = rng.choices(DEFAULT_LETTERS, list(p_letter.values()))[0]
    if not stated:
        return Answer(reason, f"<answer>{letter}</answer>", p_letter)
    letter = max(p_letter, key=lambda option: p_letter[option])
    p_up, p_down = round(p_letter["A"], 3), round(p_letter["B"], 3)
    return Answer(reason, f"P_up={p_up}, P_down={p_down}\n<answer>{letter}</answer>", p_letter)


def _probability_tool(conversation: Conversation) -> tuple[str, list[str]] | None:
    """A tool that takes one or two probabilities and nothing else, by name: how agents hand in an answer."""
    for tool in conversation.body.get("tools") or ():
        function = tool.get("function", {})
        needed = function.get("parameters", {}).get("required") or []
        if 0 < len(needed) <= 2 and all(name.startswith("p_") for name in needed):
            return function["name"], needed
    return None


def split_trace(text: str) -> tuple[str, str]:
    """A recorded trace as (reasoning, final answer): the final answer is the last paragraph, if it has the tag."""
    reasoning, _, final = text.rpartition("\n\n")
    return (reasoning, final) if _LETTER.search(final) else ("", text)


def completion(
    conversation: Conversation, answer: Answer, *, reasoning_apart: bool, logprobs: bool
) -> dict[str, Any]:
    """The body of a reply to ``/v1/chat/completions``.

    ``reasoning_apart`` puts the reasoning into ``reasoning_content``; otherwise it stands before the answer.
    """
    content = answer.final
    if answer.reasoning and not reasoning_apart:
        content = f"{answer.reasoning}\n\n{answer.final}"
    message: dict[str, Any] = {"role": "assistant", "content": content}
    if reasoning_apart:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = _tool_calls(conversation, answer.tool_calls)
        message["content"] = content or None
    wanted = logprobs and conversation.top_logprobs is not None
    return {
        "id": f"chatcmpl-{conversation.draw('id').getrandbits(64):016x}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": conversation.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": "tool_calls" if answer.tool_calls else "stop",
                "logprobs": {"content": _logprobs(content, answer, conversation)} if wanted else None,
            }
        ],
        "usage": _usage(conversation, answer),
    }


def as_stream(body: Mapping[str, Any]) -> bytes:
    """The same completion as server-sent events: one piece with the whole message, one with the usage."""
    (choice,) = body["choices"]
    delta = dict(choice["message"])
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": i, **call} for i, call in enumerate(delta["tool_calls"])]
    head = {name: body[name] for name in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    ends = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
    pieces = [
        head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None, "logprobs": choice["logprobs"]}]},
        head | {"choices": [ends]},
        head | {"choices": [], "usage": body["usage"]},
    ]
    lines = [f"data: {json.dumps(piece, ensure_ascii=False)}\n\n" for piece in pieces]
    return ("".join(lines) + "data: [DONE]\n\n").encode()


def _usage(conversation: Conversation, answer: Answer) -> dict[str, Any]:
    calls = sum(1 + count_tokens(call.written) for call in answer.tool_calls)
    reasoning = count_tokens(answer.reasoning)
    prompt, said = conversation.prompt_tokens(), reasoning + count_tokens(answer.final) + calls
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def _tool_calls(conversation: Conversation, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    name = conversation.draw("tool").getrandbits(48)
    return [
        {
            "id": f"call_{name:012x}_{i}",
            "type": "function",
            "function": {"name": call.name, "arguments": call.written},
        }
        for i, call in enumerate(calls)
    ]


def _logprobs(content: str, answer: Answer, conversation: Conversation) -> list[dict[str, Any]]:
    """One entry a token; the last answer tag's letter is a token of its own with the other letters beside it."""
    assert conversation.top_logprobs is not None
    top = conversation.top_logprobs
    tags = list(_LETTER.finditer(content))
    if not tags:
        return [_plain_entry(token, top) for token in tokens(content)]
    tag, at = tags[-1].start(), tags[-1].start(1)
    before = content[:tag]
    entries = [before] if answer.reasoning_is_one_token and before else tokens(before)
    found = [_plain_entry(token, top) for token in entries + tokens(content[tag:at])]
    found.append(_letter_entry(content[at].upper(), content[at], answer.p_letter, top))
    return found + [_plain_entry(token, top) for token in tokens(content[at + 1 :])]


def _letter_entry(letter: str, written: str, known: Mapping[str, float] | None, top: int) -> dict[str, Any]:
    p_letter = dict(known or {})
    if not p_letter:
        others = [option for option in DEFAULT_LETTERS if option != letter]
        p_letter = dict.fromkeys(others, (1 - _SURE) / len(others)) | {letter: _SURE}
    ranked = sorted(p_letter.items(), key=lambda pair: -pair[1])
    own = _alternative(written, _log(p_letter.get(letter, 0.0)))
    return own | {"top_logprobs": [_alternative(option, _log(p)) for option, p in ranked[:top]]}


def _plain_entry(token: str, top: int) -> dict[str, Any]:
    """A token with itself and one other word beside it, enough to see that the server has alternatives."""
    own = _alternative(token, _PLAIN_LOGPROB)
    if len(token) > _LONGEST_TOKEN:
        return own | {"top_logprobs": []}
    return own | {"top_logprobs": [own, _alternative(_OTHER_WORD, _OTHER_LOGPROB)][:top]}


def _alternative(token: str, logprob: float) -> dict[str, Any]:
    in_bytes = list(token.encode()) if len(token) <= _LONGEST_TOKEN else None
    return {"token": token, "logprob": logprob, "bytes": in_bytes}


def _log(p: float) -> float:
    return math.log(p) if p > 0.0 else LOWEST_LOGPROB
