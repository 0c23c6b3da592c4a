"""A chat request as the fake sees it: which question it asks, how far it has come, what it wants back."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from perturbarena.errors import InputError

MAX_TOP_LOGPROBS: Final = 20
"""The protocol's own bound on ``top_logprobs``."""

_TOKEN: Final = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")
_NAME: Final = re.compile(r"\w[\w.\-/()]*")


class UnanswerableError(InputError):
    """The request is one that an OpenAI-compatible server would refuse with HTTP 400."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A request to ``/v1/chat/completions``, checked."""

    body: Mapping[str, Any]
    question: str
    """Which question this is: the ``user`` field, else a hash of the messages up to the first user message."""
    seed: int | None
    """The request's own seed."""
    turn: int
    """How many assistant messages have gone before."""
    text: str
    """What the user messages say."""
    top_logprobs: int | None
    """How many alternatives a token; None where no log probabilities are asked."""

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.body.get("model", ""))

    @property
    def call(self) -> str:
        """Names the call apart from its repetitions: question, seed and turn."""
        return f"{self.question}\x1f{self.seed}\x1f{self.turn}"

    def draw(self, *salt: object) -> random.Random:
        """Random numbers that depend on the messages, the request's seed and ``salt`` alone."""
        return draw(json.dumps(self.body["messages"], sort_keys=True), self.seed, *salt)

    def prompt_tokens(self) -> int:
        """Tokens of all messages, four more a message for its frame."""
        return sum(4 + count_tokens(text_of(message)) for message in self.body["messages"])


def draw(*salt: object) -> random.Random:
    """Random numbers that depend on ``salt`` alone, the same in every process."""
    digest = hashlib.blake2b("\x1f".join(map(str, salt)).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "big"))


def read_conversation(raw: bytes) -> Conversation:
    """A request's body, checked.

    Raises
    ------
    UnanswerableError
        If it is not JSON, has no messages, or asks for what the fake does not do.
    """
    try:
        body = json.loads(raw)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UnanswerableError(f"the request must be JSON; {error}") from error
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise UnanswerableError("messages must be a list of at least one message")
    if body.get("n") not in (None, 1):
        raise UnanswerableError(f"n must be 1, one completion a call; got {body['n']!r}")
    seed = body.get("seed")
    if seed is not None and not isinstance(seed, int):
        raise UnanswerableError(f"seed must be a whole number; got {seed!r}")
    asked = [text_of(m) for m in messages if m.get("role") == "user"]
    return Conversation(
        body=body,
        question=_question(body, messages),
        seed=seed,
        turn=sum(m.get("role") == "assistant" for m in messages),
        text="\n".join(asked),
        top_logprobs=_top_logprobs(body),
    )


def _question(body: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> str:
    user = body.get("user")
    if isinstance(user, str) and user:
        return user
    roles = [m.get("role") for m in messages]
    head = messages[: roles.index("user") + 1] if "user" in roles else messages
    return hashlib.sha256("\x1e".join(text_of(m) for m in head).encode()).hexdigest()[:16]


def _top_logprobs(body: Mapping[str, Any]) -> int | None:
    top = body.get("top_logprobs")
    if not body.get("logprobs"):
        if top is not None:
            raise UnanswerableError("top_logprobs needs logprobs to be true")
        return None
    if top is None:
        return 0
    if not isinstance(top, int) or not 0 <= top <= MAX_TOP_LOGPROBS:
        raise UnanswerableError(f"top_logprobs must be 0 to {MAX_TOP_LOGPROBS}; got {top!r}")
    return top


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(part.get("text", "") for part in parts if isinstance(part, dict))


def tokens(text: str) -> list[str]:
    """A simple tokenisation: words and signs, each with the blanks before it. Joined they are the text."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens ``text`` has."""
    return len(tokens(text))


class QuestionFinder:
    """Finds which known question a conversation asks: by its ``user`` field, else by names in its text."""

    def __init__(self, questions: Iterable[tuple[str, str, str]]) -> None:
        """``questions`` are (id, pert, gene)."""
        self._by_pert: dict[str, dict[str, str]] = {}
        self._ids: set[str] = set()
        for id_, pert, gene in questions:
            self._ids.add(id_)
            self._by_pert.setdefault(pert, {})[gene] = id_

    def find(self, conversation: Conversation) -> str:
        """The question's id.

        Raises
        ------
        UnanswerableError
            If the text names no known question, or more than one; an id in the ``user`` field settles it.
        """
        if conversation.question in self._ids:
            return conversation.question
        names = _names(conversation.text)
        pairs = {
            (pert, gene): id_
            for pert in names & self._by_pert.keys()
            for gene, id_ in self._by_pert[pert].items()
            if gene in names
        }
        # where X and Y are both named, it is not the effect of X on itself that is asked
        others = {name for pair in pairs if pair[0] != pair[1] for name in pair}
        found = {id_ for (pert, gene), id_ in pairs.items() if pert != gene or pert not in others}
        if len(found) == 1:
            return found.pop()
        what = ", ".join(sorted(found)[:3]) + (", …" if len(found) > 3 else "") if found else "none"
        raise UnanswerableError(
            f"the text must name one recorded question's perturbation and gene; it names {what} "
            "(an id in the request's user field settles it)"
        )


def _names(text: str) -> set[str]:
    """Every word, and its shorter forms where a sentence's signs may have stuck to it."""
    words = set(_NAME.findall(text))
    return words | {word.rstrip(".-/()") for word in words} | {word.partition("(")[0] for word in words}
