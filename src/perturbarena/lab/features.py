"""What is known of the candidates before any of them is knocked out, and how alike that makes two of them.

Likeness is a kernel: 1 on average for a gene with itself. Several are offered, one a block of features and
one of all, linear and Gaussian; which of them tells anything about effects is for the data to say
(:mod:`perturbarena.lab.surrogate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.errors import FormatError, InputError
from perturbarena.lab.arrays import read_arrays, write_arrays

FORMAT_VERSION: Final = 1
SAMPLE: Final = 500
"""Candidates over which the usual distance is taken."""


@dataclass(frozen=True, slots=True)
class CandidateFeatures:
    """P candidates: ``names`` (P,); ``blocks`` name → (P, d) float64.

    Every block is centred and scaled over the candidates that it knows, so that the mean squared length of
    their rows is 1; the rows of others are 0, the block's mean. ``known`` (P,): in any block.
    """

    names: np.ndarray
    blocks: Mapping[str, np.ndarray]
    known: np.ndarray = field(default_factory=lambda: np.empty(0, bool))

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def of(cls, names: Sequence[str] | np.ndarray, raw: Mapping[str, np.ndarray]) -> CandidateFeatures:
        """From blocks (P, d) in which the row of an unknown candidate is NaN; blocks that tell nothing are
        left out.

        Raises
        ------
        InputError
            If a name stands twice or a block has another number of rows.
        """
        names = np.asarray(names, object)
        if len(set(names)) < len(names):
            raise InputError(f"a candidate may stand once; got {len(names) - len(set(names))} repeated")
        blocks, known = {}, np.zeros(len(names), bool)
        for name, matrix in raw.items():
            if len(matrix) != len(names):
                raise InputError(f"features {name} need {len(names)} rows; got {len(matrix)}")
            has = np.asarray(np.isfinite(matrix).all(axis=1))
            if has.sum() < 2:
                continue
            centred = np.where(has[:, None], matrix - matrix[has].mean(axis=0), 0.0)
            size = np.sqrt((centred[has] ** 2).sum(axis=1).mean())
            if size > 0:
                blocks[name] = centred / size
                known |= has
        return cls(names, blocks, known)

    @property
    def matrix(self) -> np.ndarray:
        """All blocks side by side, each counting the same, (P, d); mean squared length at most 1."""
        if not self.blocks:
            return np.zeros((len(self), 1))
        return np.hstack(list(self.blocks.values())) / np.sqrt(len(self.blocks))

    def take(self, rows: np.ndarray) -> CandidateFeatures:
        """Some candidates, in another order, neither centred nor scaled anew."""
        return CandidateFeatures(self.names[rows], {k: v[rows] for k, v in self.blocks.items()}, self.known[rows])

    def shuffled(self, rng: np.random.Generator) -> CandidateFeatures:
        """The same rows dealt to other candidates: what a control is given."""
        order = rng.permutation(len(self))
        return CandidateFeatures(self.names, {k: v[order] for k, v in self.blocks.items()}, self.known[order])

    def kernels(self) -> tuple[Kernel, ...]:
        """Linear and Gaussian on each block, and on all together where there are several."""
        offered = list(self.blocks.values())
        if len(offered) > 1:
            offered.append(self.matrix)
        return tuple(
            kernel for block in offered for kernel in (Kernel(block), Kernel(block, usual_distance(block)))
        )


@dataclass(frozen=True, slots=True)
class Kernel:
    """Likeness of candidates by their features (P, d): x·x′, or exp(−|x − x′|²/(2ℓ²)) where ``length`` ℓ is
    given."""

    features: np.ndarray
    length: float | None = None

    def between(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Shape (rows, columns)."""
        a, b = self.features[rows], self.features[columns]
        if self.length is None:
            return a @ b.T
        return np.exp(-squared_distances(a, b) / (2 * self.length**2))

    def own(self, rows: np.ndarray) -> np.ndarray:
        """Of each with itself, shape (rows,)."""
        if self.length is None:
            return (self.features[rows] ** 2).sum(axis=1)
        return np.ones(len(rows))


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """|a_i − b_j|², shape (i, j)."""
    return np.maximum((a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T, 0.0)


def usual_distance(features: np.ndarray) -> float:
    """Median distance between two different candidates, by at most SAMPLE of them; 1 where all are alike."""
    step = max(1, len(features) // SAMPLE)
    some = features[::step][:SAMPLE]
    distances = np.sqrt(squared_distances(some, some)[np.triu_indices(len(some), 1)])
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else 1.0


def write_candidate_features(path: Path, features: CandidateFeatures) -> None:
    """One ``.npz`` file, whole or not at all."""
    blocks = {f"block_{i}": block for i, block in enumerate(features.blocks.values())}
    about = {
        "names": features.names.astype(str),
        "known": features.known,
        "titles": np.array(list(features.blocks), str),
    }
    write_arrays(path, about | blocks, version=FORMAT_VERSION)


def read_candidate_features(path: Path) -> CandidateFeatures:
    """What :func:`write_candidate_features` wrote.

    Raises
    ------
    FormatError
        If the file is missing, damaged or of another version.
    """
    stored = read_arrays(path, version=FORMAT_VERSION)
    try:
        blocks = {str(title): stored[f"block_{i}"] for i, title in enumerate(stored["titles"])}
        return CandidateFeatures(stored["names"].astype(object), blocks, stored["known"])
    except KeyError as error:
        raise FormatError(f"{path} cannot be read as features: it lacks {error}") from error
