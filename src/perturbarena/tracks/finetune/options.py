"""The three answers there are to a question, as a model writes them and as they are read back.

Targets of training, the options whose likelihood is scored and the rewards all come from here, so that a model is
trained to write exactly what is later looked for. The letters are those of the shipped prompt templates.
"""

from __future__ import annotations

from typing import Final

from perturbarena.challenge.records import LABELS
from perturbarena.tracks.parsing import DEFAULT_LETTERS, ParsedAnswer, parse_answer

LETTER_OF: Final = dict(zip(LABELS, DEFAULT_LETTERS, strict=True))
"""The letter of ``up``, ``down`` and ``none``."""
OPTION_TEXTS: Final = tuple(f"<answer>{LETTER_OF[label]}</answer>" for label in LABELS)
"""What a model writes to answer ``up``, ``down`` and ``none``, in this order."""


VERDICTS: Final = ("right", "wrong")
"""What a critic says of an answer."""
VERDICT_TEXTS: Final = tuple(f"<verdict>{verdict}</verdict>" for verdict in VERDICTS)
"""What a critic writes."""
VERDICT_ASKED: Final = (
    "\n\nSomebody answered as follows:\n\n{proposed}\n\nIs this answer right? "
    f"Write {VERDICT_TEXTS[0]} or {VERDICT_TEXTS[1]}."
)
"""What a critic is asked, after the question."""


def option_text(label: str) -> str:
    """What a model writes to answer with this label, such as ``<answer>A</answer>``."""
    return OPTION_TEXTS[LABELS.index(label)]


def stated_text(p_up: float, p_down: float) -> str:
    """What a model writes to answer with probabilities, and the letter of the likeliest outcome below them.

    Two decimals each, which sum to exactly 1: what rounding loses or gains goes to the largest.
    """
    exact = (p_up, p_down, 1.0 - p_up - p_down)
    hundredths = [round(100 * value) for value in exact]
    top = exact.index(max(exact))
    hundredths[top] += 100 - sum(hundredths)
    up, down, none = (f"{value / 100:.2f}" for value in hundredths)
    return f"P_up={up}, P_down={down}, P_none={none}\n{OPTION_TEXTS[top]}"


def read_text(text: str) -> ParsedAnswer:
    """What a text that a model wrote answers; the same reading as in every other track."""
    return parse_answer(text, letters=DEFAULT_LETTERS)
