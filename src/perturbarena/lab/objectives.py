"""What a campaign is after: what makes a measured knockout valuable, and from which value on it is a hit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, get_args

import numpy as np

from perturbarena.challenge.words import counted
from perturbarena.errors import InputError

Kind = Literal["hits", "everything", "pathway"]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
HIT_ABOVE: Final = 0.3
"""A hit's value where no other is set, log2 units: the programme goes 2^0.3 = 1.23-fold the wanted way on
average."""
NAMED: Final = 5
"""Genes that a message names."""


@dataclass(frozen=True, slots=True)
class Objective:
    """The aim.

    ==============  ==============================================================================
    hits            value Σ w·x / Σ|w| over the signed programme: its mean log2 change the wanted way
    pathway         value √mean x² over the pathway's genes: how far they move, either way
    everything      value √mean x² over all genes: how strong the knockout is
    ==============  ==============================================================================

    x are shrunken log2 fold changes. A knockout's own transcript never counts. ``hit_above``: a value from
    which it is a hit.
    """

    kind: Kind
    genes: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    hit_above: float = HIT_ABOVE

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"an objective is one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.kind != "everything" and not self.genes:
            what = "a programme of genes with signs" if self.kind == "hits" else "the pathway's genes"
            raise InputError(f"the objective {self.kind} needs {what}; got none")
        if len(self.weights) != len(self.genes) or len(set(self.genes)) < len(self.genes):
            raise InputError("a programme needs one weight for each gene, and each gene once")
        if self.genes and not (np.isfinite(self.weights).all() and np.any(self.weights)):
            raise InputError("a programme's weights must be numbers, not all of them 0")

    @classmethod
    def of(cls, kind: str, programme: Mapping[str, float], *, hit_above: float = HIT_ABOVE) -> Objective:
        """From gene → weight; a pathway's weights do not matter."""
        chosen = {} if kind == "everything" else dict(programme)
        return cls(kind, tuple(chosen), tuple(float(w) for w in chosen.values()), hit_above)  # pyright: ignore[reportArgumentType]

    def as_json(self) -> dict[str, Any]:
        """For a manifest."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Objective:
        """What :meth:`as_json` gave."""
        return cls(stored["kind"], tuple(stored["genes"]), tuple(stored["weights"]), float(stored["hit_above"]))

    def check(self, genes: Sequence[str] | np.ndarray) -> str:
        """Which of the objective's genes were not measured, in words; empty where all were.

        Raises
        ------
        InputError
            If fewer than half were: another thing would be sought than was asked for.
        """
        missing = sorted(set(self.genes) - set(genes))
        if not missing:
            return ""
        named = ", ".join(missing[:NAMED]) + (", …" if len(missing) > NAMED else "")
        said = (
            f"{counted(len(missing), 'gene')} of the {len(self.genes)} in the {self.kind} objective not measured"
        )
        if 2 * len(missing) > len(self.genes):
            raise InputError(f"{said}: {named}; at least half must be. Are the symbols of the same species?")
        return f"{said}: {named}"

    def value(self, profiles: np.ndarray, genes: np.ndarray, *, knocked_out: np.ndarray) -> np.ndarray:
        """Of profiles (n, G) on these genes, of the knockouts named (n,); shape (n,)."""
        at = {gene: i for i, gene in enumerate(genes)}
        own = np.zeros(profiles.shape, bool)
        for i, name in enumerate(knocked_out):
            if name in at:
                own[i, at[name]] = True
        if self.kind == "everything":
            return _root_mean_square(profiles, own)
        columns = [at[gene] for gene in self.genes if gene in at]
        if self.kind == "pathway":
            return _root_mean_square(profiles[:, columns], own[:, columns])
        weights = np.array([w for gene, w in zip(self.genes, self.weights, strict=True) if gene in at])
        counts = np.where(own[:, columns], 0.0, weights)
        size = np.abs(counts).sum(axis=1)
        return (counts * profiles[:, columns]).sum(axis=1) / np.where(size > 0, size, 1.0)


def _root_mean_square(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    n = (~own).sum(axis=1)
    return np.sqrt(np.where(own, 0.0, values**2).sum(axis=1) / np.maximum(n, 1))
