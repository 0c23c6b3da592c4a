"""Comparisons in blocks: fitted here by threads, elsewhere by Dask, or some of them by one job of many.

A block is fitted, and kept on disk, as a whole. Whoever fits it gets the same numbers, so a block may be fitted
twice and kept twice without harm.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from perturbarena.challenge.formats import atomic
from perturbarena.challenge.shards import Shard
from perturbarena.screen.comparisons import Comparisons
from perturbarena.screen.fits import Fits

BLOCK: Final = 16
"""Comparisons that are fitted, and kept, together."""

Progress = Callable[[int, int], None]
"""Called with the number of perturbations done and the number of all."""

BlockRunner = Callable[[Comparisons, Sequence[range]], Iterator[tuple[range, Fits]]]
"""Fits blocks of comparisons and gives each as it is done, in any order."""


@dataclass(frozen=True, slots=True)
class Threads:
    """Fit blocks in this process, the comparisons of a block side by side. None: a thread a processor."""

    workers: int | None = None

    def __call__(self, comparisons: Comparisons, blocks: Sequence[range]) -> Iterator[tuple[range, Fits]]:
        """As any ``BlockRunner``."""
        with ThreadPoolExecutor(self.workers or os.cpu_count() or 1) as pool:
            for block in blocks:
                yield block, Fits.of(list(pool.map(comparisons.fit, block)))


@dataclass(frozen=True, slots=True)
class Store:
    """Finished blocks of one list of comparisons; another list has another folder."""

    folder: Path

    @classmethod
    def beside(cls, path: Path, comparisons: Comparisons) -> Store:
        """The store of these comparisons beside the file that they will end in."""
        return cls(path.with_name(f".{path.name}.{comparisons.digest[:12]}.partial"))

    def save(self, block: range, fits: Fits) -> None:
        """Keep a block; the same fits give the same bytes."""
        with atomic(self._path(block), binary=True) as file:
            np.savez(file, **fits.arrays())

    def has(self, block: range) -> bool:
        """Whether the block is kept."""
        return self._path(block).exists()

    def load(self, block: range) -> Fits:
        """A block that is kept."""
        with np.load(self._path(block)) as arrays:
            return Fits(**arrays)

    def remove(self) -> None:
        """Remove all blocks."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, block: range) -> Path:
        return self.folder / f"block-{block.start:06d}-{block.stop:06d}.npz"


class Remaining(NamedTuple):
    """Comparisons that no job has fitted yet, and all there are."""

    missing: int
    total: int


def blocks_of(comparisons: Comparisons) -> list[range]:
    """Every comparison in one block."""
    n = len(comparisons)
    return [range(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]


def fit_all(
    comparisons: Comparisons,
    *,
    run: BlockRunner | None = None,
    store: Store | None = None,
    progress: Progress | None = None,
) -> Fits:
    """Fit every comparison, save those that are kept already; one row for each, in their order."""
    fits = Fits.empty(len(comparisons), comparisons.cells.n_genes)
    done = 0
    for block, rows in _all_blocks(comparisons, run or Threads(), store):
        fits.put(slice(block.start, block.stop), rows)
        done += len(block)
        if progress is not None:
            progress(done, len(comparisons))
    return fits


def _all_blocks(comparisons: Comparisons, run: BlockRunner, store: Store | None) -> Iterator[tuple[range, Fits]]:
    blocks = blocks_of(comparisons)
    if store is None:
        yield from run(comparisons, blocks)
        return
    kept = [block for block in blocks if store.has(block)]
    for block in kept:
        yield block, store.load(block)
    for block, rows in run(comparisons, [block for block in blocks if block not in kept]):
        store.save(block, rows)
        yield block, rows


def fit_shard(
    comparisons: Comparisons,
    shard: Shard,
    *,
    store: Store,
    run: BlockRunner | None = None,
    progress: Progress | None = None,
) -> Remaining:
    """Fit the blocks of one shard that are not kept yet, and keep them."""
    todo = [block for block in shard.of(blocks_of(comparisons)) if not store.has(block)]
    done = 0
    for block, rows in (run or Threads())(comparisons, todo):
        store.save(block, rows)
        done += len(block)
        if progress is not None:
            progress(done, sum(map(len, todo)))
    missing = sum(len(block) for block in blocks_of(comparisons) if not store.has(block))
    return Remaining(missing, len(comparisons))
