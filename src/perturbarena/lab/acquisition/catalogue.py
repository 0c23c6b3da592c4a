"""Which strategies there are. Every module of this package that has a ``STRATEGY`` is one: a new one is a
new file."""

from __future__ import annotations

import pkgutil
import re
from functools import cache
from importlib import import_module
from typing import Final

from perturbarena.errors import InputError
from perturbarena.lab.acquisition.mixtures import mixture
from perturbarena.lab.acquisition.strategy import Strategy

_PART: Final = re.compile(r"\s*(?:([0-9.]+)\s*\*)?\s*([a-z][a-z-]*)\s*")


@cache
def strategies() -> dict[str, Strategy]:
    """By name, in alphabetical order, chance first."""
    package = import_module("perturbarena.lab.acquisition")
    modules = (import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__))
    found = [module.STRATEGY for module in modules if hasattr(module, "STRATEGY")]
    return {s.name: s for s in sorted(found, key=lambda s: (s.name != "random", s.name))}


def strategy_named(words: str) -> Strategy:
    """A strategy by name, or a mixture: ``hit``, ``0.7*hit+0.3*diversity``.

    Raises
    ------
    InputError
        If there is no such strategy.
    """
    parts: list[tuple[float, Strategy]] = []
    for part in words.split("+"):
        match = _PART.fullmatch(part)
        if match is None or match[2] not in strategies():
            raise InputError(
                f"no strategy {part.strip()!r}; there are {', '.join(strategies())}, "
                "and mixtures of them such as 0.7*hit+0.3*diversity"
            )
        try:
            share = float(match[1] or 1)
        except ValueError as error:
            raise InputError(f"a share must be a number; got {match[1]!r} in {words!r}") from error
        parts.append((share, strategies()[match[2]]))
    return parts[0][1] if len(parts) == 1 else mixture(parts)
