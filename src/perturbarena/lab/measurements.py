"""What screens have shown of knockouts: their effects on every gene, in one record and one file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from perturbarena.errors import FormatError
from perturbarena.lab.arrays import read_arrays, write_arrays

LAYERS: Final = ("effect", "log2fc", "se", "fdr")
FORMAT_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Measurements:
    """Effects of m knockouts on G genes.

    ``perturbations`` (m,) and ``genes`` (G,) names, each once; (m, G) float64: ``effect`` shrunken log2 fold
    change, ``log2fc`` unshrunken, ``se`` its standard error, ``fdr``. NaN where nothing was measured.
    """

    perturbations: np.ndarray
    genes: np.ndarray
    effect: np.ndarray
    log2fc: np.ndarray
    se: np.ndarray
    fdr: np.ndarray

    def __len__(self) -> int:
        return len(self.perturbations)

    @classmethod
    def none(cls, genes: Sequence[str] | np.ndarray = ()) -> Measurements:
        """No knockout."""
        empty = np.empty((0, len(genes)))
        return cls(np.empty(0, object), np.asarray(genes, object), empty, empty, empty, empty)

    def rows(self, names: Iterable[str]) -> Measurements:
        """These knockouts, in this order; KeyError for one that is not there."""
        at = {name: i for i, name in enumerate(self.perturbations)}
        return self._take(np.array([at[name] for name in names], np.int64))

    def on(self, genes: np.ndarray) -> Measurements:
        """The same knockouts on these genes; NaN for a gene that was not measured."""
        at = {gene: i for i, gene in enumerate(self.genes)}
        found = np.array([at.get(gene, -1) for gene in genes], np.int64)
        values = []
        for name in LAYERS:
            layer = np.full((len(self), len(genes)), np.nan)
            layer[:, found >= 0] = getattr(self, name)[:, found[found >= 0]]
            values.append(layer)
        return Measurements(self.perturbations, np.asarray(genes, object), *values)

    def and_more(self, other: Measurements) -> Measurements:
        """These, then those of ``other`` on the same genes (on its genes where there is no knockout here
        yet)."""
        if not len(self):
            return other
        other = other.on(self.genes)
        stacked = [np.vstack([getattr(self, name), getattr(other, name)]) for name in LAYERS]
        return Measurements(np.concatenate([self.perturbations, other.perturbations]), self.genes, *stacked)

    def profiles(self) -> np.ndarray:
        """Shrunken effects (m, G) to learn from: 0 on the knocked-out gene itself and where nothing was
        measured.

        That a knockout lowers its own transcript says nothing about what it does.
        """
        values = np.nan_to_num(self.effect)
        at = {gene: i for i, gene in enumerate(self.genes)}
        for i, name in enumerate(self.perturbations):
            if name in at:
                values[i, at[name]] = 0.0
        return values

    def _take(self, rows: np.ndarray) -> Measurements:
        return Measurements(self.perturbations[rows], self.genes, *(getattr(self, name)[rows] for name in LAYERS))


def write_measurements(path: Path, measured: Measurements) -> None:
    """One ``.npz`` file, whole or not at all; float32, as effect tables have them."""
    names = {name: getattr(measured, name).astype(str) for name in ("perturbations", "genes")}
    layers = {name: getattr(measured, name).astype(np.float32) for name in LAYERS}
    write_arrays(path, names | layers, version=FORMAT_VERSION)


def read_measurements(path: Path) -> Measurements:
    """What :func:`write_measurements` wrote.

    Raises
    ------
    FormatError
        If the file is missing, damaged or of another version.
    """
    stored = read_arrays(path, version=FORMAT_VERSION)
    missing = [name for name in ("perturbations", "genes", *LAYERS) if name not in stored]
    if missing:
        raise FormatError(f"{path} cannot be read as measurements: it lacks {missing[0]}")
    names = (stored[name].astype(object) for name in ("perturbations", "genes"))
    return Measurements(*names, *(stored[name].astype(np.float64) for name in LAYERS))
