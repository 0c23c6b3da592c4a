"""What a sentence about a gene says: up, down, none, or two things at once.

A sentence is read cue by cue. A cue is a word for a direction ("increased") or for no change ("unaffected"); a
direction cue under a negation ("will not be upregulated", "no evidence of a decrease") counts for no change, and
one that is set aside ("rather than decreased") counts for nothing. A sentence that asserts two outcomes is
ambiguous: no majority is taken. Every quantifier is bounded, so that time grows with the length of the text.
"""

from __future__ import annotations

import re
from typing import Final

from perturbarena.challenge.records import DOWN, NONE, UP
from perturbarena.tracks.plaintext import one_of

AMBIGUOUS: Final = "ambiguous"
"""Two outcomes are asserted at once."""

_UP_CUE: Final = one_of(
    r"""up[- ]?regulat\w{0,4} | upward\w{0,2} | up | increas\w{0,5} | elevat\w{0,4} | enhanc\w{0,7} | higher
    | rises? | rising | risen | de-?repress\w{0,4} | overexpress\w{0,4}"""
)
_DOWN_CUE: Final = one_of(
    r"""down[- ]?regulat\w{0,4} | downward\w{0,2} | down | decreas\w{0,5} | reduc(?:e[sd]?|ing|tions?)
    | lower(?:s|ed|ing)? | suppress\w{0,4} | repress(?:e[sd]|ing|ion)? | diminish\w{0,3} | declin\w{0,4}
    | attenuat\w{0,4}"""
)
_ADVERB: Final = one_of(
    """statistically | biologically | significant(?:ly)? | substantial(?:ly)? | detectabl[ey] | meaningful(?:ly)?
    | clear(?:ly)? | major | direct(?:ly)? | strong(?:ly)? | measurabl[ey] | noticeabl[ey] | appreciabl[ey]
    | notabl[ey] | obvious(?:ly)? | net | known | overall | differential(?:ly)? | marked(?:ly)? | expression | gene
    | transcriptional | real | consistent(?:ly)? | be | been | being | get | have | has | had | an? | any
    | to | much | really | likely | results? | resulted | resulting | leads? | leading | led | in | shows?
    | shown | expected
    | predicted"""
)
_CHANGED: Final = one_of(
    r"""affect\w{0,3} | effects? | impact\w{0,3} | chang\w{0,3} | alter\w{0,5} | influenc\w{0,3} | modulat\w{0,4}
    | differen\w{0,7} | perturb\w{0,4} | regulat(?:e[sd]?|ion) | express(?:ed|ion) | differentially | significant
    | respon\w{0,4} | shift\w{0,3}"""
)
_NONE_CUE: Final = one_of(
    rf"""(?:no|not|cannot|\w{{2,6}}n't|never|without|unlikely|lacks?|fails?) (?:{_ADVERB} ){{0,6}}{_CHANGED}
    | non[- ]?significant | insignificant | negligible | unchanged | unaffected | unaltered
    | neither up[- ]?\w{{0,10}} nor down[- ]?\w{{0,10}} | neither | stays? (?:about )?the same
    | little or no \w{{1,12}} | little[- ]to[- ]no \w{{1,12}}
    | remains? (?:largely |mostly |relatively )?(?:stable|constant|the same|steady) | independent of | neutral
    | minimal \w{{1,12}}"""
)
_CUE: Final = re.compile(
    rf"(?P<none>\b{_NONE_CUE}\b)|(?<![\w\-])(?<!knock )(?<!knocked )(?<!knocking )"
    rf"(?:(?P<up>{_UP_CUE})|(?P<down>{_DOWN_CUE}))(?!\w|[- ]?stream)",
    re.IGNORECASE,
)
_NEGATOR: Final = re.compile(
    r"\b(?:no|not|cannot|never|without|unlikely|neither|nor|lack(?:s|ing)?|absence|fails? to"
    r"|(?:do|does|did|is|are|was|were|wo|would|ca|could|should|has|have|had)n't)\b",
    re.IGNORECASE,
)
_SET_ASIDE: Final = re.compile(r"\b(?:rather than|instead of|as opposed to)\b", re.IGNORECASE)
_NOT_A_NEGATION: Final = re.compile(r"\b(?:no doubt|not only|not just|not surprising\w{0,2}|not because)\b", re.I)
_CLAUSE_END: Final = re.compile(
    r"[.;!?\n]|,? (?:but|however|although|though|yet|whereas|so|thus|therefore|hence) ", re.IGNORECASE
)
_ONE_WORD: Final = {
    **dict.fromkeys(
        ("up", "upregulated", "up-regulated", "increase", "increased", "increases", "higher", "+1"), UP
    ),
    **dict.fromkeys(("down", "downregulated", "down-regulated", "decrease", "decreased", "decreases"), DOWN),
    **dict.fromkeys(("lower", "reduced", "-1"), DOWN),
    **dict.fromkeys(("none", "no", "neither", "unchanged", "same", "nochange", "noeffect", "no_change"), NONE),
    **dict.fromkeys(("no_effect", "nc", "neutral", "0"), NONE),
}
_CANNOT: Final = "(?:can ?not|can't|could not|unable to|impossible to|not possible to|hard to|difficult to)"
_REFUSAL: Final = re.compile(
    r"\b(?:i(?: am|'m)? (?:really |very |so )?(?:sorry|unable|not (?:able|sure|certain))"
    r"|i (?:can ?not|can't|won't|do not|don't) "
    r"(?:know|answer|determine|predict|say|provide|help|comply|assist|tell|make)|as an ai"
    rf"|{_CANNOT} (?:be )?(?:determin|predict|answer|tell|say|know|conclud|assess)\w{{0,4}}"
    r"|unknown|uncertain|unclear|undetermined|indeterminate"
    r"|(?:insufficient|not enough) (?:\w{1,12} )?(?:information|evidence|data))\b",
    re.IGNORECASE,
)

_NEGATION_REACH: Final = 60
"""Characters before a cue in which a negation of the same clause still governs it (about eight words)."""
_MAX_CUES: Final = 40
"""A text with more cues than this is an essay, not an answer; it is ambiguous."""


def refuses(text: str) -> bool:
    """True where the text declines to answer ("I cannot determine …", "unknown")."""
    return _REFUSAL.search(text) is not None


def read_words(text: str) -> str | None:
    """``up``, ``down``, ``none`` or :data:`AMBIGUOUS` as asserted by a short text; None where it says neither."""
    word = text.strip(" \t\n.,;:!\"'()[]{}").lower()
    if word in _ONE_WORD:
        return _ONE_WORD[word]
    asserted: set[str] = set()
    denied: set[str] = set()
    for count, cue in enumerate(_CUE.finditer(text)):
        if count >= _MAX_CUES:
            return AMBIGUOUS
        kind = str(cue.lastgroup)
        before = _clause_before(text, cue.start())
        if kind == NONE:
            asserted.add(NONE)
        elif _SET_ASIDE.search(before):
            continue
        elif _NEGATOR.search(_NOT_A_NEGATION.sub(" ", before)):
            denied.add(kind)
        else:
            asserted.add(kind)
    return _decide(asserted, denied)


def _decide(asserted: set[str], denied: set[str]) -> str | None:
    """ "Not up but down" is down; "not up" is none; "up, and not up" is ambiguous."""
    if len(asserted) > 1 or asserted & denied:
        return AMBIGUOUS
    if asserted:
        return next(iter(asserted))
    return NONE if denied else None


def _clause_before(text: str, position: int) -> str:
    window = text[max(0, position - _NEGATION_REACH) : position]
    ends = list(_CLAUSE_END.finditer(window))
    return window[ends[-1].end() :] if ends else window
