"""The probability of an answer, read from the log probabilities of its token.

The token is the one that holds the option's letter after the last answer tag. Its alternatives are sorted by the
letter they stand for (`` A``, ``A``, ``A</`` and ``a`` are all A), those that stand for none are left out, and
what remains is scaled to 1. The tag must stand in the answer itself, the final channel: a tag that the model only
considered while it reasoned is no answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from perturbarena.tracks.parsing import DEFAULT_LETTERS

_BETWEEN: Final = r"[\s>:*_\"'`(\[{.-]{0,12}(?:[Oo]ption\s)?[\s*_\"'`(\[]{0,4}"
_OPENED: Final = re.compile(r"<(?!\s{0,2}/)\s{0,2}[\w ]{0,8}answer[^<>\n\w]{0,3}>?" + _BETWEEN, re.I)
_CLOSED: Final = re.compile(
    r"(?<![A-Za-z0-9])([A-Za-z])[\s).*_\"'`\]}]{0,6}<\s{0,2}/\s{0,2}[\w ]{0,8}answer", re.I
)
_FINAL: Final = re.compile(r"<\|channel\|>\s?final[^<\n]{0,20}<\|message\|>|</think(?:ing)?>", re.I)
_ALONE: Final = re.compile(r"[^A-Za-z0-9]*([A-Za-z])(?![A-Za-z0-9])")


@dataclass(frozen=True, slots=True)
class Token:
    """One written token: its text and its alternatives at that place, itself among them, as (text, log p)."""

    text: str
    alternatives: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class AnswerToken:
    """Probabilities of up, down and none; ``mass`` is what the three letters had before they were scaled to 1."""

    p_up: float
    p_down: float
    p_none: float
    mass: float
    letter: str


def read_answer_token(
    tokens: Sequence[Token], content: str, *, letters: Sequence[str] = DEFAULT_LETTERS
) -> AnswerToken | str:
    """Find the answer's token and read its alternatives; or the reason why there is none.

    Parameters
    ----------
    tokens
        Everything the model wrote, reasoning too where the server sends it.
    content
        The final part of the answer, as the server tells it apart from reasoning.
    letters
        The options' letters for up, down, none.
    """
    if _letter_at(content, letters) is None:
        return "no_answer_tag"
    text = "".join(token.text for token in tokens)
    starts = [match.end() for match in _FINAL.finditer(text)]
    at = _letter_at(text, letters, start=starts[-1] if starts else 0)
    if at is None:
        return "answer_tag_not_among_tokens"
    end = 0
    for token in tokens:
        end += len(token.text)
        if at < end:
            return _renormalised(token, letters, letter=text[at].upper())
    return "answer_tag_not_among_tokens"


def _letter_at(text: str, letters: Sequence[str], *, start: int = 0) -> int | None:
    """Where the letter after the last answer tag stands; a broken tag counts where a letter is beside it."""
    found = -1
    for opened in _OPENED.finditer(text, start):
        at = opened.end()
        alone = text[at : at + 1].upper() in letters and not text[at + 1 : at + 2].isalnum()
        if alone and text[at : at + 1]:
            found = max(found, at)
    for closed in _CLOSED.finditer(text, start):
        if closed.group(1).upper() in letters:
            found = max(found, closed.start(1))
    return None if found < 0 else found


def _renormalised(token: Token, letters: Sequence[str], *, letter: str) -> AnswerToken | str:
    mass = dict.fromkeys(letters, 0.0)
    for text, logprob in dict(token.alternatives).items():
        match = _ALONE.match(text)
        if match and match.group(1).upper() in mass:
            mass[match.group(1).upper()] += math.exp(min(logprob, 0.0))
    total = sum(mass.values())
    if not total > 0.0 or not math.isfinite(total):
        return "answer_token_without_letters"
    up, down, none = (mass[name] / total for name in letters)
    return AnswerToken(up, down, none, min(total, 1.0), letter)
