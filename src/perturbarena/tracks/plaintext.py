"""A model's text made uniform, and its reasoning told apart from its final part.

One dash, one quote, no emphasis marks, no runs of blanks: the readers' patterns then need no unbounded repetition,
which is what keeps the time of reading proportional to the length of the text.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final, NamedTuple

_CHARACTERS: Final = str.maketrans(
    {
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d", "-"),
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\uff02", '"'),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\t\x0b\x0c", " "),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad*`", ""),
        **dict.fromkeys("\u2028\u2029\x85\r", "\n"),
        **dict.fromkeys("\uff08\u3010", "("),
        **dict.fromkeys("\uff09\u3011", ")"),
        **dict.fromkeys("\u2192\u21d2\u27f9", ">"),
        "\u2248": "~",
        "\u3002": ".",
        **{chr(code): chr(code - 0xFEE0) for code in (*range(0xFF10, 0xFF3B), *range(0xFF41, 0xFF5B))},
    }
)
_SPACES: Final = re.compile(r" {2,}")
_LINES: Final = re.compile(r"\n[ \n]{1,}")
_END_OF_THINKING: Final = re.compile(
    r"</ ?(?:think|thinking|thought|reasoning|reflection|scratchpad)>"
    r"|<\|channel\|> ?final[^<\n]{0,20}<\|message\|>"
    r"|\[/THINK\]|\u25c1/think\u25b7|assistantfinal",
    re.IGNORECASE,
)
_OPENED_THINKING: Final = re.compile(r"^[ \n]{0,3}(?:<(?:think|thinking|thought|reasoning)>|\[THINK\])", re.I)
_PLACEHOLDER: Final = re.compile(
    r"\(?\[?<?"
    r"(?:no (?:reasoning trace|answer|response|output)|n/?a|null|nan|empty|tbd|\.{1,6}|…|-{1,6}|\?{1,6})"
    r">?\]?\)?\.?",
    re.IGNORECASE,
)


class Parts(NamedTuple):
    """The thinking, and what stands after it. Either may be empty."""

    reasoning: str
    final: str


def normalise(text: str) -> str:
    """The text with one form of each mark and no run of blanks."""
    return _LINES.sub("\n", _SPACES.sub(" ", text.translate(_CHARACTERS)))


def split_thinking(text: str) -> Parts:
    """What stands before and after the end of thinking; unmarked text is all final."""
    ends = deque(_END_OF_THINKING.finditer(text), maxlen=1)
    if ends:
        return Parts(_OPENED_THINKING.sub("", text[: ends[0].start()]), text[ends[0].end() :])
    opened = _OPENED_THINKING.match(text)
    return Parts(text[opened.end() :], "") if opened else Parts("", text)


def is_placeholder(parts: Parts) -> bool:
    """True where the text only says that there is none: "(no reasoning trace)", "N/A", "…"."""
    return _PLACEHOLDER.fullmatch("".join(parts).strip()) is not None


def one_of(phrases: str) -> str:
    """A pattern for any of the phrases, which are written apart by `` | ``, over as many lines as needed."""
    return "(?:" + "|".join(" ".join(phrases.split()).split(" | ")) + ")"
