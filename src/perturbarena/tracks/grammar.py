"""The option letters: how an answer names one, and how a list of options differs from an answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from perturbarena.challenge.records import DOWN, NONE, UP
from perturbarena.errors import InputError
from perturbarena.tracks.plaintext import one_of
from perturbarena.tracks.probabilities import find_probabilities

_OPTION: Final = 300
"""Characters that one option of a repeated list may take."""
_LINE_END: Final = re.compile(r"\n")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?;])\s|\n")
_AHEAD: Final = (
    r"(?:the |my )?(?:final |best |correct )?(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ll]etter|OPTION)s?[:=]? ?)?"
)
_CONNECTIVE: Final = one_of(
    """because | since | as | is | with | which | for | due | given | seems | or | and | then | but | by | though
    | although | would | based | most | likely | corresponds? | again | here | instead | over | overall | probably
    | too | however"""
)
_WORD_AT_END: Final = one_of(
    r"up-?regulat\w{2,3} | down-?regulat\w{2,3} | up | down | none | no effect | no change"
)
_AFTER: Final = (
    # an upper-case letter may be the article "A": before a plain word only a connective makes it an answer
    r"(?= ?[).:\],;}>|/=&\"'\\?!]| ?-{1,2}[ >]| ?\(| ?\n| ?$"
    rf"| {_CONNECTIVE}\b| {_WORD_AT_END} ?$| ?<| ?answer>)"
)


@dataclass(frozen=True, slots=True)
class Grammar:
    """The patterns for one set of letters. ``label`` maps a letter to up, down or none."""

    letters: tuple[str, str, str]
    label: dict[str, str]
    lone: re.Pattern[str]
    """A content that begins with an option's letter."""
    line: re.Pattern[str]
    """A line that begins with an option's letter, as an answer would."""
    mark: re.Pattern[str]
    """A letter that marks an option in a list: ``A)``, ``A.``, ``A -``."""
    several: re.Pattern[str]
    """Two or (then a group matches) three options in a row: "A or B", "A, B, or C", "A/B"."""
    named: re.Pattern[str]
    """A sentence about a letter: "C is the correct answer", "So likely B."."""


@lru_cache(maxsize=16)
def grammar_of(letters: tuple[str, ...]) -> Grammar:
    """The patterns for the letters of up, down, none; InputError unless they are three different letters."""
    if len({letter.upper() for letter in letters}) != 3 or not all(
        len(letter) == 1 and letter.isascii() and letter.isalpha() for letter in letters
    ):
        raise InputError(
            f"letters must be three different ones, for up, down, none (ABC); got {''.join(letters)!r}"
        )
    up, down, none = (letter.upper() for letter in letters)
    upper = f"[{up}{down}{none}]"
    either = f"[{up}{down}{none}{up.lower()}{down.lower()}{none.lower()}]"
    opening = rf"[\W_]{{0,6}}?{_AHEAD}[(\[{{\"'<]{{0,3}}"
    lower_alone = r"(?= ?[)\]}\"':]\W| ?[).\]}\"':!,;>]{0,3} ?$| ?\()"
    lower_marked = r"(?=[).:\]}]| ?$| ?\()"
    return Grammar(
        letters=(up, down, none),
        label={up: UP, down: DOWN, none: NONE},
        lone=re.compile(rf"{opening}(?P<letter>{upper}{_AFTER}|{either}{lower_alone})"),
        line=re.compile(rf"{opening}(?P<letter>{upper}{_AFTER}|{either}{lower_marked})"),
        mark=re.compile(rf"(?<![\w'])\(?(?P<letter>{either})(?:[).:\]]| [-=] )(?! ?\d)"),
        several=re.compile(_several(upper)),
        named=re.compile(_named(upper)),
    )


def without_options(text: str, grammar: Grammar) -> str:
    """The text without lists that run through all three options in order, unless they state probabilities."""
    marks = list(grammar.mark.finditer(text))
    kept: list[str] = []
    done = 0
    for first, second, third in zip(marks, marks[1:], marks[2:], strict=False):
        order = tuple(match.group("letter").upper() for match in (first, second, third))
        gap = max(second.start() - first.end(), third.start() - second.end())
        if order != grammar.letters or gap > _OPTION or first.start() < done:
            continue
        end = _option_end(text, third.end(), inline="\n" not in text[second.end() : third.start()])
        if find_probabilities(text[first.start() : end], grammar.letters) is None:
            kept.append(text[done : first.start()])
            done = end
    return "".join((*kept, text[done:]))


def _option_end(text: str, start: int, *, inline: bool) -> int:
    end = (_SENTENCE_END if inline else _LINE_END).search(text, start, start + _OPTION)
    return end.start() if end else min(len(text), start + _OPTION)


def _several(letter: str) -> str:
    closed = r"(?: \([^()\n]{1,60}\)|\))?"
    between = r"(?:,? (?:or|and|vs\.?|versus) | ?[/|&] ?)"
    then = r"[^\n.;]{1,80}?(?:[,;/]| or| and) ?\(?"
    plain = rf"{letter}{closed}{between}\(?{letter}(?!\w)(?:{closed}{between}(?P<plain>\(?{letter}(?!\w)))?"
    commas = rf"{letter}\)?, ?\(?{letter}\)?,?(?: or| and)? \(?(?P<commas>{letter})(?!\w)"
    marked = rf"{letter}[).:]{then}{letter}[).:](?P<marked>{then}{letter}[).:])?"
    return f"{plain}|{commas}|{marked}"


def _named(letter: str) -> str:
    verb = "(?:is|seems|appears|would be|looks)(?: to be)?"
    degree = one_of(
        """the | my | a | most | more | best | final | correct | right | likely | plausible | probable | safest
        | safe | reasonable"""
    )
    noun = one_of(
        """answer | choice | option | correct | right | prediction | plausible | likely | probable | pick | safest
        | best"""
    )
    said = rf"(?<![\w'])\(?(?P<letter>{letter})\)?(?: \([^()\n]{{1,40}}\))? {verb} (?:{degree} ){{0,4}}{noun}\b"
    hence = r"\b(?:(?:[Ss]o|[Tt]hus|[Tt]herefore|[Hh]ence|[Oo]verall),?|I think|I'd lean|I lean|[Ss]afest is)"
    filler = one_of(
        """it's | it is | likely | probably | most | more | the | I'd | say | option | maybe | lean | safest | is
        | I think"""
    )
    return rf"{said}|{hence} (?:{filler} ){{0,3}}\(?(?P<so>{letter})\)?(?= ?[.,;:!)]| ?\n| ?$| \()"
