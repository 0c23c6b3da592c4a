"""Near-identical texts among thousands, by the phrases they share.

Every run of ``WORDS`` words is hashed and a fixed part of the hashes is kept: the same part for every text, so
that phrases stay comparable (doi:10.1109/SEQUEN.1997.666900). A text is a near copy if nearly all of its kept
phrases stand in one other text.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

WORDS: Final = 8
KEEP_ONE_IN: Final = 4
CONTAINED: Final = 0.8
"""Share of a text's kept phrases that stand in the other."""
MAX_KEPT: Final = 100
"""Of more kept phrases than this the smallest hashes stay, which are the same ones in like texts."""
MAX_CHARS: Final = 10_000
"""Characters of a text that are looked at."""
LEAST: Final = 5
"""Kept phrases below which nothing is said."""
MAX_SHARING: Final = 200
"""A phrase that more texts share is compared within its first so many: the time stays linear."""
_WORD: Final = re.compile(r"\w+|@")


def near_copies(texts: Sequence[str]) -> list[int]:
    """Positions of texts that nearly equal another one; empty texts are passed over."""
    kept = [_phrases(text) for text in texts]
    holders: defaultdict[int, list[int]] = defaultdict(list)
    for i, phrases in enumerate(kept):
        for phrase in phrases:
            holders[phrase].append(i)
    found = []
    for i, phrases in enumerate(kept):
        if len(phrases) < LEAST:
            continue
        shared: Counter[int] = Counter()
        for phrase in phrases:
            shared.update(holders[phrase][:MAX_SHARING])
        del shared[i]
        if any(n >= CONTAINED * max(LEAST, len(phrases)) for n in shared.values()):
            found.append(i)
    return found


def _phrases(text: str) -> set[int]:
    words = _WORD.findall(text[:MAX_CHARS])
    hashes = (zlib.crc32(" ".join(words[i : i + WORDS]).encode()) for i in range(len(words) - WORDS + 1))
    return set(sorted({h for h in hashes if h % KEEP_ONE_IN == 0})[:MAX_KEPT])
