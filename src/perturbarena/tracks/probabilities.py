"""Probabilities that a text states in so many words: ``P_up=0.3, P_down=0.1``, JSON, percent.

The last complete statement counts. It needs two of the three outcomes (up, down, none); the third is what remains.
Numbers that cannot be probabilities are reported as such, never repaired, except that three numbers that miss 1 by
no more than rounding are scaled to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from perturbarena.challenge.records import DOWN, NONE, UP

ROUNDING: Final = 0.02
"""Three probabilities rounded to two decimals can miss 1 by up to 0.015; a little more is allowed."""
_REACH: Final = 80
"""Characters that may lie between the parts of one statement."""

_NUMBER: Final = (
    r"(?P<number>-?(?:\d{1,4}(?:\.\d{0,20})?|\.\d{1,20})(?:[eE][+\-]?\d{1,3})?)(?!\w|\.\d)"
    r"(?: ?(?P<percent>%|percent\b))?"
)
_UP_NAME: Final = r"up(?:[- _]?regulat(?:ed|ion))?|increased?"
_DOWN_NAME: Final = r"down(?:[- _]?regulat(?:ed|ion))?|decreased?"
_NONE_NAME: Final = (
    r"none|neither|unchanged|no(?:[- _](?:significant[- _])?(?:change|effect|difference))"
    r"|not[- _]changed|no_?diff|nc"
)
_PREFIX: Final = (
    r"(?:p(?:rob(?:ability)?|red(?:iction)?)?[ _]?\(?[ _]?"
    r"|(?:probability|likelihood|chance) (?:of |for )?(?:being )?)?"
)
_PERCENT_AHEAD: Final = r"(?= ?\(?\d{1,3}(?:\.\d{1,9})? ?%)"
_JOIN: Final = (
    r"[\"'\\\])]{0,4}(?: (?:is|of|at|being|probability|likelihood))?[ \"']{0,2}"
    rf"(?:[:=~≈>|]{{1,2}}| is| of|{_PERCENT_AHEAD})[ ~≈\"'(]{{0,3}}"
)


@dataclass(frozen=True, slots=True)
class Stated:
    """What was stated. ``valid`` is False where the numbers cannot be probabilities; start, end are positions."""

    p_up: float
    p_down: float
    start: int
    end: int
    valid: bool = True

    @property
    def label(self) -> str:
        """The most probable outcome; on a tie none before up before down."""
        values = {NONE: 1.0 - self.p_up - self.p_down, UP: self.p_up, DOWN: self.p_down}
        return max(values, key=lambda name: round(values[name], 9))


@dataclass(frozen=True, slots=True)
class _Part:
    kind: str
    value: float
    percent: bool
    start: int
    end: int


def find_probabilities(text: str, letters: tuple[str, str, str]) -> Stated | None:
    """The last complete statement of probabilities in a text, or None. ``letters`` name up, down, none."""
    forward, backward = _patterns(letters)
    for pattern in (forward, backward):
        stated = _last_statement([_part(match) for match in pattern.finditer(text)])
        if stated is not None:
            return stated
    return None


@lru_cache(maxsize=16)
def _patterns(letters: tuple[str, str, str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    a, b, c = map(re.escape, letters)
    names = rf"(?:(?P<up>{_UP_NAME}|{a})|(?P<down>{_DOWN_NAME}|{b})|(?P<none>{_NONE_NAME}|{c}))"
    forward = re.compile(rf"(?<![a-z0-9]){_PREFIX}{names}(?![a-z0-9_]){_JOIN}{_NUMBER}", re.IGNORECASE)
    backward = re.compile(
        r"(?<![\w.])(?P<number>\d{1,3}(?:\.\d{1,9})?) ?(?P<percent>%)(?: (?:chance|probability|likelihood))?"
        rf"(?: (?:of|for|that it is|on|to be))?(?: being)? \(?{names}(?![a-z0-9_])",
        re.IGNORECASE,
    )
    return forward, backward


def _part(match: re.Match[str]) -> _Part:
    kind = next(name for name in (UP, DOWN, NONE) if match.group(name) is not None)
    percent = match.group("percent") is not None
    return _Part(kind, float(match.group("number")), percent, match.start(), match.end())


def _last_statement(parts: list[_Part]) -> Stated | None:
    """Walk back from the last part while parts lie close together and none repeats an outcome."""
    end = len(parts)
    while end > 0:
        start = end - 1
        kinds = {parts[start].kind}
        while (
            start > 0
            and parts[start].start - parts[start - 1].end <= _REACH
            and parts[start - 1].kind not in kinds
        ):
            start -= 1
            kinds.add(parts[start].kind)
        if len(kinds) >= 2:
            return _statement(parts[start:end])
        end = start
    return None


def _statement(parts: list[_Part]) -> Stated:
    values = {part.kind: part.value for part in parts}
    span = (parts[0].start, parts[-1].end)
    if any(part.percent for part in parts) or _sums_to(values, 100.0):
        values = {kind: value / 100.0 for kind, value in values.items()}
    if len(values) == 3 and _sums_to(values, 1.0):
        total = sum(values.values())
        values = {kind: value / total for kind, value in values.items()}
    elif len(values) == 3:
        return Stated(0.0, 0.0, *span, valid=False)
    if any(not 0.0 <= value <= 1.0 for value in values.values()) or sum(values.values()) > 1.0 + 1e-9:
        return Stated(0.0, 0.0, *span, valid=False)
    p_up = values.get(UP, 1.0 - values.get(DOWN, 0.0) - values.get(NONE, 0.0))
    p_down = values.get(DOWN, 1.0 - p_up - values.get(NONE, 0.0))
    p_up = min(max(p_up, 0.0), 1.0)
    return Stated(p_up, min(max(p_down, 0.0), 1.0 - p_up), *span)


def _sums_to(values: dict[str, float], total: float) -> bool:
    return len(values) == 3 and min(values.values()) >= 0 and abs(sum(values.values()) / total - 1.0) <= ROUNDING
