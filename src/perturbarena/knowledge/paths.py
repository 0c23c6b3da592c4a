"""Signed paths from a perturbed gene to a target as numbers of the pair: what a network expects of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from perturbarena.knowledge.answers import SignedPath
from perturbarena.knowledge.lookup import KnowledgeBase

DECAY: Final = 0.5
"""A path counts this much less with each step after the first."""
Perturbation = Literal["loss", "gain"]
"""Knockout and interference take a gene's function away; activation adds to it."""


def implied_direction(path: SignedPath, perturbation: Perturbation = "loss") -> int:
    """+1 where the path says that the target goes up, −1 down: losing an activator brings its target down."""
    return -path.sign if perturbation == "loss" else path.sign


@dataclass(frozen=True, slots=True)
class PathTable:
    """What signed paths say of pairs: two numbers a pair.

    Attributes
    ----------
    known
        (pert, gene) → its paths.
    perturbation
        Whether the perturbation takes function away or adds to it.
    source
        Where the network comes from.
    """

    known: Mapping[tuple[str, str], tuple[SignedPath, ...]]
    perturbation: Perturbation
    source: str
    name: str = "paths"

    @property
    def n_columns(self) -> int:
        """Numbers a pair has."""
        return 2

    def coverage(self, names: Iterable[str]) -> float:
        """Share of these different names that stand in a pair with a path; NaN for no names."""
        distinct = set(names)
        reached = {name for pair, paths in self.known.items() if paths for name in pair}
        return len(distinct & reached) / len(distinct) if distinct else float("nan")

    def pair_values(self, pert: np.ndarray, gene: np.ndarray) -> np.ndarray:
        """Columns: Σ direction·DECAY^(steps − 1) over the paths, and the same without direction, as ln(1 + x).

        Shape (n, 2). No path between a gene that has paths to others and one that others have paths to is a
        finding, 0; otherwise nothing is known, NaN.
        """
        sources = {pert for (pert, _), paths in self.known.items() if paths}
        targets = {gene for (_, gene), paths in self.known.items() if paths}
        found = np.full((len(pert), 2), np.nan)
        for i, pair in enumerate(zip(pert, gene, strict=True)):
            paths = self.known.get(pair)
            if not paths:
                found[i] = 0.0 if pair[0] in sources and pair[1] in targets else np.nan
            else:
                size = np.array([DECAY ** (len(path.steps) - 1) for path in paths])
                way = np.array([implied_direction(path, self.perturbation) for path in paths])
                found[i] = float(way @ size), float(np.log1p(size.sum()))
        return found

    def without(self, pert: str, gene: str, path: SignedPath | None = None) -> PathTable:
        """The table without one path of a pair, or without any of its paths."""
        left = () if path is None else tuple(p for p in self.known.get((pert, gene), ()) if p != path)
        return replace(self, known={**self.known, (pert, gene): left})


def read_paths(
    base: KnowledgeBase,
    pairs: Iterable[tuple[str, str]],
    *,
    max_length: int,
    perturbation: Perturbation = "loss",
    progress: Callable[[int, int], None] | None = None,
) -> PathTable:
    """The paths of these pairs, each pair asked once.

    Raises
    ------
    InputError
        If ``max_length`` is not between 1 and 4.
    """
    asked = sorted(set(pairs))
    known = {}
    for i, (pert, gene) in enumerate(asked, start=1):
        if pert != gene and (paths := base.paths(pert, gene, max_length=max_length).found):
            known[pert, gene] = paths
        if progress is not None and (i % 100 == 0 or i == len(asked)):
            progress(i, len(asked))
    return PathTable(
        known, perturbation, ", ".join(ref.name for ref in base.looked_at("regulons")) or "no network"
    )
