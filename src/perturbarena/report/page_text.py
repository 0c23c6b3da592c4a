"""Text from anywhere, made fit to be shown: nothing in it can act on the page or on the reader's eyes.

The page's templates escape markup; what is done here is what escaping leaves: characters that HTML does not allow,
marks that turn the reading direction of what follows, and length.
"""

from __future__ import annotations

import math
import re
from typing import Final

HEAD: Final = 500
TAIL: Final = 900
"""Characters kept of a long trace: the answer stands at its end, so the end is kept longer."""
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_TURNING: Final = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
"""Marks that set or override the direction of text (Unicode Standard Annex 9)."""
_BLANK_LINES: Final = re.compile(r"\n[ \t]*\n[ \t\n]*\n")


def shown(text: object) -> str:
    """The text with every character visible: forbidden ones as �, turning marks as ⟨U+202E⟩, line ends alike."""
    plain = str(text).replace("\r\n", "\n").replace("\r", "\n")
    plain = _TURNING.sub(lambda mark: f"⟨U+{ord(mark[0]):04X}⟩", plain)
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", plain)


def excerpt(text: object, head: int = HEAD, tail: int = TAIL) -> str:
    """Beginning and end of a text, with a word on how much stands between."""
    plain = _BLANK_LINES.sub("\n\n", str(text).strip())
    if len(plain) <= head + tail:
        return shown(plain)
    left_out = len(plain) - head - tail
    return shown(f"{plain[:head]}\n\n[… {left_out:,} characters left out …]\n\n{plain[-tail:]}")


def number(value: float | None, digits: int = 3) -> str:
    """Fixed decimals, thousands apart; a dash where undefined."""
    if value is None or not math.isfinite(value):
        return "–"
    rounded = round(value, digits) + 0.0  # + 0.0 turns -0.0 into 0.0
    return f"{rounded:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def signed(value: float | None, digits: int = 3) -> str:
    """As :func:`number`, with a plus sign where it is due."""
    text = number(value, digits)
    return f"+{text}" if value is not None and math.isfinite(value) and round(value, digits) > 0 else text


def significant(value: float, digits: int = 2) -> str:
    """Without an exponent, to so many significant digits."""
    if not math.isfinite(value) or value == 0:
        return number(value, 0)
    return number(value, max(digits - 1 - math.floor(math.log10(abs(value))), 0))


def share(value: float, digits: int = 0) -> str:
    """A share in percent."""
    return f"{number(100 * value, digits)}\N{NARROW NO-BREAK SPACE}%" if math.isfinite(value) else "–"


def between(bounds: tuple[float, float] | None, digits: int = 3) -> str:
    """An interval as ``low … high``; a dash where there is none."""
    if bounds is None or not all(map(math.isfinite, bounds)):
        return "–"
    return f"{number(bounds[0], digits)} … {number(bounds[1], digits)}"
