"""Arrays in, arrays out: the statistics. No tables, no files.

The names below are fetched when first used, as compiled code takes a moment to load.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perturbarena.stats.shrinkage import (
        Prior,
        Shrinkage,
        fit_point_normal,
        fit_prior,
        normal,
        point_laplace,
        point_normal,
        posterior,
    )

__all__ = [
    "Prior",
    "Shrinkage",
    "fit_point_normal",
    "fit_prior",
    "normal",
    "point_laplace",
    "point_normal",
    "posterior",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("perturbarena.stats.shrinkage"), name)
