"""What a model's text says: a label and probabilities, or a reason why there is none.

A ladder of small readers is tried in order and the first that finds an answer wins:

=================  ========================================================================================
``tag``            ``<answer>A</answer>``, broken tags too; the last one counts
``boxed``          ``\\boxed{A}``; the last one
``json``           ``"answer": "A"`` (or label, prediction, … in the last object)
``phrase``         "Final answer: A", "I choose B", "C is correct"; the last one
``probabilities``  ``P_up=0.3, P_down=0.1``, percent, JSON
``letter``         a line that begins with the letter: ``A.``, ``(B)``, ``C) Knockdown does not …``
``words``          a short text or a concluding sentence: "No effect", "Thus Y is upregulated."
=================  ========================================================================================

``how`` names the reader, with ``+probabilities`` where stated probabilities beside the answer agree with it, or
is ``unparsed:`` and a reason. What follows ``</think>`` is read first; the reasoning is searched only for an
explicit answer (the first four). A repetition of the question's options is no answer. Letters overrule words:
in "C) Y does not increase" the words may speak of the cause. Time grows with the length of the text.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from perturbarena.challenge.records import DOWN, LABELS, UNANSWERED, UP
from perturbarena.tracks.grammar import Grammar, grammar_of, without_options
from perturbarena.tracks.plaintext import is_placeholder, normalise, one_of, split_thinking
from perturbarena.tracks.probabilities import find_probabilities
from perturbarena.tracks.wording import AMBIGUOUS, read_words, refuses

UNPARSED: Final = "unparsed"
DEFAULT_LETTERS: Final = ("A", "B", "C")
"""The options' letters for up, down, none."""

_MAX_CANDIDATES: Final = 64
"""Of more tags (or phrases …) than this only the last ones are looked at, which bounds the time."""
_CONTENT: Final = 300
"""Characters of a tag's, box's or phrase's content that are read."""
_SHORT_TEXT: Final = 400
"""A text up to this length is an answer in words; of a longer one only a concluding sentence is."""
_BESIDE: Final = 240
"""Stated probabilities count as the answer's own from this many characters before it to the end of the text."""
_INVALID: Final = "invalid"


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """What one text says. ``label`` is ``up``, ``down``, ``none``, or empty where unparsed (then 1/3, 1/3)."""

    label: str
    p_up: float
    p_down: float
    how: str

    @property
    def parsed(self) -> bool:
        """True where an answer was found."""
        return bool(self.label)


@dataclass(frozen=True, slots=True)
class ParseReport:
    """Counts over many texts: ``how`` by reader or failure, most frequent first; ``label`` by label."""

    n: int
    n_parsed: int
    how: dict[str, int]
    label: dict[str, int]

    @property
    def parse_rate(self) -> float:
        """The share of texts with an answer; NaN of no texts."""
        return self.n_parsed / self.n if self.n else float("nan")


class _Reading(NamedTuple):
    """``label`` is a label, AMBIGUOUS or _INVALID (found, but says no one thing); ``at`` is where it stands."""

    label: str
    at: int
    stated: tuple[float, float] | None = None


def parse_answer(text: str, *, letters: Sequence[str] = DEFAULT_LETTERS) -> ParsedAnswer:
    """Read one text. Never raises for any text; probabilities are finite, in [0, 1], and sum to at most 1.

    Parameters
    ----------
    text
        What the model wrote, reasoning included.
    letters
        The options' letters for up, down and none, three different ones.

    Raises
    ------
    InputError
        If ``letters`` are not three different letters.
    """
    grammar = grammar_of(tuple(letters))
    parts = split_thinking(normalise(text))
    if not "".join(parts).strip():
        return _unparsed("empty")
    if is_placeholder(parts):
        return _unparsed("placeholder")
    failure = ""
    for part, ladder in ((parts.final, _LADDER), (parts.reasoning, _EXPLICIT)):
        if not part.strip():
            continue
        found = _climb(ladder, without_options(part, grammar), grammar)
        if isinstance(found, ParsedAnswer):
            return found
        failure = failure or found or _why_not(part, without_options(part, grammar))
    return _unparsed(failure)


def parse_answers(texts: Iterable[str], *, letters: Sequence[str] = DEFAULT_LETTERS) -> list[ParsedAnswer]:
    """:func:`parse_answer` of each text."""
    return [parse_answer(text, letters=letters) for text in texts]


def parse_report(answers: Iterable[ParsedAnswer]) -> ParseReport:
    """Count what was found and every kind of failure."""
    answers = list(answers)
    how = Counter(answer.how for answer in answers)
    label = Counter(answer.label for answer in answers if answer.parsed)
    n_parsed = sum(answer.parsed for answer in answers)
    return ParseReport(len(answers), n_parsed, dict(how.most_common()), {k: label[k] for k in LABELS})


# ── readers of a short content ──────────────────────────────────────────────────────────────────────────────────

_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s|\n")
_DOUBT: Final = re.compile(r"[)\]\"']{0,2} ?\?")
_LATEX: Final = re.compile(r"\\[a-zA-Z]{2,12} ?\{|[{}$]|\\[,;! ]")


def _read_content(content: str, grammar: Grammar, *, at: int, words: bool = True) -> _Reading | None:
    """A tag's, box's or phrase's content: probabilities, a letter, or words. None where it says nothing."""
    stated = find_probabilities(content, grammar.letters)
    if stated is not None:
        if not stated.valid:
            return _Reading(_INVALID, at)
        return _Reading(stated.label, at, (stated.p_up, stated.p_down))
    keyed = _KEY.search(content)
    plain = _LATEX.sub("", _value(keyed) if keyed else content)
    match = grammar.lone.match(plain)
    if match is not None:
        return _chosen(plain, match, grammar, at=at)
    if not words or refuses(plain):
        return None
    label = read_words(plain)
    return None if label is None else _Reading(label, at)


def _chosen(text: str, match: re.Match[str], grammar: Grammar, *, at: int) -> _Reading | None:
    """The option whose letter was matched; None where it opens a list of all three, ambiguous where of two."""
    if _DOUBT.match(text, match.end("letter")):
        return None
    several = grammar.several.match(text, match.start("letter"))
    if several is None:
        return _Reading(grammar.label[match.group("letter").upper()], at)
    return None if several.lastgroup else _Reading(AMBIGUOUS, at)


def _last_readable(
    candidates: Iterable[re.Match[str]], content: Callable[[re.Match[str]], str], grammar: Grammar
) -> _Reading | None:
    """The last candidate whose content says something; templates and empty ones are passed over."""
    for match in reversed(deque(candidates, maxlen=_MAX_CANDIDATES)):
        reading = _read_content(content(match), grammar, at=match.start())
        if reading is not None:
            return reading
    return None


# ── the ladder ──────────────────────────────────────────────────────────────────────────────────────────────────

_TAG: Final = re.compile(
    r"<(?!/)[^<>\n/]{0,8}(?:answer|prediction)\b[^<>\n]{0,12}>|\[(?:final[ _])?answer\]", re.I
)
_TAG_END: Final = re.compile(r"</|\[/|<|/answer|answer>", re.I)
_CLOSING: Final = re.compile(r"(?<![^\n>])(?P<content>[^\n<>]{1,40})</ ?(?:final_?)?answer", re.I)
_BOXED: Final = re.compile(r"\\?\\(?:boxed|fbox) ?\{", re.I)
_VALUE: Final = (
    r"\\?[\"'] ?: ?\[? ?(?:\\?\"(?P<double>[^\"\n]{0,300})|'(?P<single>[^'\n]{0,300})|(?P<bare>[\w\-]{1,20}))"
)
_KEY: Final = re.compile(rf"[\"'](?:final[_ ]?)?answer{_VALUE}", re.I)
_OTHER_KEYS: Final = one_of(
    """label | prediction | direction | choice | option | effect | outcome | result | response | selected
    | selection"""
)
_OTHER_KEY: Final = re.compile(rf"[\"'](?:predicted_?)?{_OTHER_KEYS}{_VALUE}", re.I)
_FILLER: Final = one_of(
    """is | are | was | would be | should be | will be | must be | remains | likely | probably | most likely
    | therefore | thus | clearly | recorded | submitted | here | to the question | to this question | to be
    | choice | option
    | letter | then | seems | goes to | that | of | in this case"""
)
_NOUN: Final = one_of(
    """answers? | prediction | conclusion | verdict | final choice | my choice | best choice | decision
    | concluding | in summary | in conclusion"""
)
_VERB: Final = one_of(
    """choose | chose | pick | select | answer | predict | conclude | decide(?: on)? | go with | opt for | say
    | guess | settle on | lean(?:ing)? towards? | lean to"""
)
_PHRASE: Final = re.compile(
    rf"(?<![a-z]){_NOUN}(?!\w)(?P<filler>(?: ?(?:{_FILLER}(?!\w)|:)){{0,4}}) ?"
    r"(?P<join>[:=>(\-]{0,2}[\"']? ?\n? ?)"
    rf"|(?P<verb>\b(?:i(?:'ll| will|'d| would)? {_VERB}|choose|choosing|pick|select|selecting|go with|going with"
    r"|opt for|settle on|leaning towards?|let's guess|let's go with) ?:? ?(?:that )?(?:option |answer |choice )?)",
    re.I,
)
_CONCLUDING: Final = re.compile(
    r"[ \"'>#-]{0,4}(?:so|thus|therefore|hence|overall|in (?:conclusion|summary|short)|consequently|to conclude"
    r"|conclusion|accordingly|taken together|final(?:ly)?)\b",
    re.I,
)
_HEDGE: Final = re.compile(r"\b(?:might|may|could|maybe|perhaps|possibly|if|whether|or)\b|\?", re.I)


def _read_tag(text: str, grammar: Grammar) -> _Reading | None:
    return _last_readable(_TAG.finditer(text), _tag_content, grammar) or _last_readable(
        _CLOSING.finditer(text), lambda match: match.group("content"), grammar
    )


def _tag_content(opened: re.Match[str]) -> str:
    window = opened.string[opened.end() : opened.end() + _CONTENT]
    end = _TAG_END.search(window)
    content = window[: end.start()] if end else window
    # a content that runs on over several lines is prose after an unclosed tag: its first line is the answer
    return content if end and content.strip().count("\n") < 2 else content.strip().split("\n", 1)[0]


def _read_boxed(text: str, grammar: Grammar) -> _Reading | None:
    return _last_readable(_BOXED.finditer(text), _braced, grammar)


def _braced(opened: re.Match[str]) -> str:
    depth = 1
    window = opened.string[opened.end() : opened.end() + _CONTENT]
    for i, character in enumerate(window):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return window[:i]
    return window


def _read_json(text: str, grammar: Grammar) -> _Reading | None:
    last_object = max(0, text.rfind("{"))
    return _last_readable(_KEY.finditer(text), _value, grammar) or _last_readable(
        _OTHER_KEY.finditer(text, last_object), _value, grammar
    )


def _value(match: re.Match[str]) -> str:
    return match.group("double") or match.group("single") or match.group("bare") or ""


def _read_phrase(text: str, grammar: Grammar) -> _Reading | None:
    best = None
    for match in reversed(deque(_PHRASE.finditer(text), maxlen=_MAX_CANDIDATES)):
        content = text[match.end() : match.end() + _CONTENT].split("\n", 1)[0]
        # "so the answer up" is no statement; a bare letter is ("thus answer B")
        said = bool(match.group("verb") or match.group("filler") or match.group("join").strip(" "))
        best = _read_content(_first_sentence(content), grammar, at=match.end(), words=said)
        if best is not None:
            break
    for match in deque(grammar.named.finditer(text), maxlen=1):
        if best is None or match.start() > best.at:
            letter = match.group("letter") or match.group("so")
            best = _Reading(grammar.label[letter], match.start())
    return best


def _first_sentence(content: str) -> str:
    return re.split(r"(?<=\w\w[.!?]) |(?<=\w\w;) ", content, maxsplit=1)[0]


def _read_probabilities(text: str, grammar: Grammar) -> _Reading | None:
    stated = find_probabilities(text, grammar.letters)
    if stated is None:
        return None
    if not stated.valid:
        return _Reading(_INVALID, stated.start)
    return _Reading(stated.label, stated.start, (stated.p_up, stated.p_down))


def _read_letter(text: str, grammar: Grammar) -> _Reading | None:
    stripped = text.strip()
    lines = (stripped.rsplit("\n", 1)[-1], stripped.split("\n", 1)[0])
    for line in lines:
        match = grammar.line.match(line)
        reading = match and _chosen(line, match, grammar, at=text.rfind(line))
        if reading is not None:
            return reading
    return None


def _read_words(text: str, _grammar: Grammar) -> _Reading | None:
    stripped = text.strip()
    if refuses(stripped[-_SHORT_TEXT:]):
        return None
    if len(stripped) <= _SHORT_TEXT:
        label = read_words(stripped)
        if label is not None and label != AMBIGUOUS:
            return _Reading(label, 0)
    tail = stripped[-_SHORT_TEXT:]
    sentences = [sentence for sentence in _SENTENCE.split(tail) if sentence.strip()]
    last = sentences[-1] if sentences else ""
    if _CONCLUDING.match(last) and not _HEDGE.search(last):
        label = read_words(last)
        return None if label is None else _Reading(label, 0)
    return _Reading(AMBIGUOUS, 0) if len(stripped) <= _SHORT_TEXT and read_words(stripped) == AMBIGUOUS else None


_Reader = Callable[[str, Grammar], _Reading | None]
_EXPLICIT: Final[dict[str, _Reader]] = {
    "tag": _read_tag,
    "boxed": _read_boxed,
    "json": _read_json,
    "phrase": _read_phrase,
}
_LADDER: Final[dict[str, _Reader]] = {
    **_EXPLICIT,
    "probabilities": _read_probabilities,
    "letter": _read_letter,
    "words": _read_words,
}
_FAILURES: Final = {AMBIGUOUS: "ambiguous", _INVALID: "bad_probabilities"}

# ── outcomes ────────────────────────────────────────────────────────────────────────────────────────────────────


def _climb(ladder: dict[str, _Reader], text: str, grammar: Grammar) -> ParsedAnswer | str:
    """The first reader's answer; else the kind of failure, empty where no reader found anything."""
    for how, reader in ladder.items():
        reading = reader(text, grammar)
        if reading is not None:
            return _answer(reading, how, text, grammar) if reading.label in LABELS else _FAILURES[reading.label]
    return ""


def _answer(reading: _Reading, how: str, text: str, grammar: Grammar) -> ParsedAnswer:
    if reading.stated is not None:
        p_up, p_down = reading.stated
        return ParsedAnswer(reading.label, p_up, p_down, how if how == "probabilities" else f"{how}+probabilities")
    if how != "words":
        beside = find_probabilities(text[max(0, reading.at - _BESIDE) :], grammar.letters)
        if beside is not None and beside.valid and beside.label == reading.label:
            return ParsedAnswer(reading.label, beside.p_up, beside.p_down, f"{how}+probabilities")
    return ParsedAnswer(reading.label, float(reading.label == UP), float(reading.label == DOWN), how)


def _unparsed(reason: str) -> ParsedAnswer:
    return ParsedAnswer("", *UNANSWERED, f"{UNPARSED}:{reason}")


def _why_not(part: str, body: str) -> str:
    if not body.strip():
        return "options_only"
    if refuses(body[-_SHORT_TEXT:]):
        return "refusal"
    # a long text that stops in mid-sentence was most likely cut off by the token limit
    cut = len(part) > _SHORT_TEXT and part.rstrip()[-1:].isalnum()
    return "truncated" if cut else "no_answer"
