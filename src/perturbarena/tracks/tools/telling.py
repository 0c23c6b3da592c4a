"""Which of a gene's many sets to name first: those whose words the gene's other sets repeat.

A well-studied gene is in hundreds of sets. The smallest are odd ones and the largest say nothing; words that come
back in many of them ("interferon", "proteasome") are what the gene is known for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

from perturbarena.knowledge import SetMembership
from perturbarena.tracks.tools.evidence import spoken

SIZES: Final = (8, 500)
"""Genes of a set worth a name: smaller ones repeat each other, larger ones say little."""
COMMON: Final = frozenset(
    {
        "regulation", "positive", "negative", "response", "pathway", "activity", "protein", "cell", "cellular",
        "signaling", "signalling", "metabolic", "complex", "binding", "process", "mediated", "involved", "the",
        "and", "via", "other",
    }
)  # fmt: skip
"""Words that stand in set names of every subject."""


def most_telling(sets: Sequence[SetMembership], *, most: int) -> list[SetMembership]:
    """Sets by the mean log count of their words among all given; each must bring a word not told before.

    With c(w) the number of the gene's sets that have the word w, a set with words W scores Σ log c(w) / (|W| + 1).
    """
    words = {item: _words(item.name) for item in sets if SIZES[0] <= item.size <= SIZES[1]}
    count = Counter(word for found in words.values() for word in found)

    def rank(item: SetMembership) -> tuple[float, int, str]:
        score = sum(math.log(count[word]) for word in words[item]) / (len(words[item]) + 1)
        return -score, item.size, item.name

    chosen: list[SetMembership] = []
    told: set[str] = set()
    for item in sorted(words, key=rank):
        if len(chosen) < most and not words[item] <= told:
            chosen.append(item)
            told |= words[item]
    return chosen


def _words(name: str) -> set[str]:
    return {word for word in spoken(name, longest=None).split() if len(word) > 2 and word not in COMMON}
