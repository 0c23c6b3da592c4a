"""Invented gene symbols for simulated screens.

They look like symbols and mean nothing, so that no knowledge of real genes can help or harm on simulated data.
"""

from __future__ import annotations

from typing import Final

import numpy as np

CONSONANTS: Final = np.array(list("bcdfghjklmnprstvwz"))
VOWELS: Final = np.array(list("aeiou"))
ENDINGS: Final = np.array(["", *"bdfklmnprstx"])
NUMBERS: Final = 20
AVOIDED: Final = frozenset({"Nan"})
"""Stems that readers of tables take for a missing value."""


def gene_symbols(rng: np.random.Generator, n: int) -> np.ndarray:
    """``n`` different symbols such as ``Dorf7``, shape (n,), str; at most 300,000.

    They do not depend on anything but the generator, and stand in no order.
    """
    shape = (len(CONSONANTS), len(VOWELS), len(CONSONANTS), len(ENDINGS), NUMBERS)
    drawn = rng.choice(int(np.prod(shape)), size=n + 20 * len(ENDINGS), replace=False)
    first, vowel, last, ending, number = np.unravel_index(drawn, shape)
    stem = [
        str(CONSONANTS[a]).upper() + VOWELS[b] + CONSONANTS[c] for a, b, c in zip(first, vowel, last, strict=True)
    ]
    symbols = [f"{s}{ENDINGS[e]}{k + 1}" for s, e, k in zip(stem, ending, number, strict=True) if s not in AVOIDED]
    return np.array(symbols[:n])
