"""The ceilings of a question set, from its screen: effects are estimated twice, on either half of the cells.

Every half is an experiment of half the size, with half the control cells; both effect tables are kept in a work
folder, and a run that was killed goes on where it stood.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from perturbarena import __version__
from perturbarena.benchmark.ceiling import N_RESAMPLES, Ceilings, Half, ceilings_of
from perturbarena.benchmark.labels import NOT_ASKED, Labels, LabelSettings, call_effects
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.screen import (
    EffectSettings,
    Screen,
    estimate_effects,
    read_effect_table,
    select_genes,
    write_effect_table,
)
from perturbarena.screen.counts import total_counts
from perturbarena.screen.effects import Progress

if TYPE_CHECKING:
    from anndata import AnnData

HALVES: Final = ("first", "second")


def measure_ceilings(
    screen: Screen,
    labels: Labels,
    rows_by_split: Mapping[str, LabelledQuestions],
    *,
    folder: Path,
    rng: np.random.Generator,
    effect_settings: EffectSettings | None = None,
    label_settings: LabelSettings | None = None,
    n_resamples: int = N_RESAMPLES,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Ceilings:
    """Split-half replicate and oracles of every split; without a screen, call :func:`ceilings_of` for the oracles.

    ``folder`` keeps the effect tables of the halves, under a name made from the screen, the settings and the deal.
    The same ``rng`` deals the same halves. ``progress`` counts the perturbations of both.

    Raises
    ------
    InputError
        If a half has no perturbation that can be estimated, or a row's names are not among the labels.
    """
    settings = effect_settings or EffectSettings()
    seed = int(rng.integers(2**63))
    in_second = deal_halves(screen, np.random.default_rng(seed))
    total = total_counts(screen.counts) if screen.size_factor is None else screen.size_factor
    place = folder / f"halves-{_fingerprint(screen, settings, total=total, seed=seed)}"
    genes = select_genes(screen, settings.genes, flavor=settings.flavor).positions
    halves = []
    for k, name in enumerate(HALVES):
        path = place / f"{name}.h5ad"
        if not path.exists():
            part = _half_screen(screen, np.flatnonzero(in_second == bool(k)), genes, total)
            table = estimate_effects(
                part,
                settings=_half_settings(settings),
                workers=workers,
                checkpoint=path,
                progress=_of_both(progress, k),
            )
            write_effect_table(path, table)
        halves.append(half_from_table(read_effect_table(path), labels, label_settings or LabelSettings()))
    return ceilings_of(labels, rows_by_split, rng=rng, halves=(halves[0], halves[1]), n_resamples=n_resamples)


def deal_halves(screen: Screen, rng: np.random.Generator) -> np.ndarray:
    """Which cells are in the second half, (n,) bool.

    Within a perturbation, or the controls, cells are laid out by guide and batch, in random order within these,
    and dealt in turn: no perturbation, guide or batch of a guide differs by more than one cell between the halves.
    """
    n = len(screen.perturbation)
    guide = np.zeros(n, "U1") if screen.guide is None else screen.guide.astype(str)
    perturbation = screen.perturbation.astype(str)
    order = np.lexsort((rng.random(n), screen.batch.astype(str), guide, perturbation))
    code = np.unique(perturbation[order], return_inverse=True)[1]
    start = np.flatnonzero(np.r_[True, np.diff(code) > 0])
    turn = np.arange(n) - start[code] + rng.integers(2, size=len(start))[code]
    in_second = np.zeros(n, bool)
    in_second[order] = turn % 2 == 1
    return in_second


def half_from_table(table: AnnData, labels: Labels, settings: LabelSettings) -> Half:
    """A half's effect table in the labels' order; what is missing in it is unclear, with z undefined.

    No perturbation is left out for having few moved genes, and no gene for low expression: whether they are asked
    is settled by all the cells.
    """
    pert = table.obs_names.get_indexer(pd.Index(labels.perturbations.astype(str)))
    gene = table.var_names.get_indexer(pd.Index(labels.genes.astype(str)))
    known = (pert >= 0)[:, None] & (gene >= 0)

    def layer(name: str) -> np.ndarray:
        return np.where(known, np.asarray(table.layers[name], np.float64)[pert][:, gene], np.nan)

    call = np.where(known, call_effects(layer("log2fc_shrunk"), layer("fdr"), settings), NOT_ASKED)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = layer("log2fc") / layer("se_log2fc")
    return Half(call.astype(np.int8), z)


def _half_screen(screen: Screen, rows: np.ndarray, genes: np.ndarray, total: np.ndarray) -> Screen:
    """Some cells with the tested genes alone; size factors still come from all genes."""
    return replace(
        screen,
        counts=screen.counts[rows][:, genes].tocsr(),
        genes=screen.genes[genes],
        perturbation=screen.perturbation[rows],
        batch=screen.batch[rows],
        guide=None if screen.guide is None else screen.guide[rows],
        size_factor=np.asarray(total, np.float64)[rows],
        row=rows,
    )


def _half_settings(settings: EffectSettings) -> EffectSettings:
    """The same for half the cells: half the controls, half the least number of cells, every gene that is given."""
    controls = None if settings.controls is None else max(1, settings.controls // 2)
    min_cells = max(1, settings.min_cells // 2)
    return settings.model_copy(update={"controls": controls, "min_cells": min_cells, "genes": None})


def _of_both(progress: Progress | None, k: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(k * total + done, len(HALVES) * total)


def _fingerprint(screen: Screen, settings: EffectSettings, *, total: np.ndarray, seed: int) -> str:
    """Tells this deal of this screen from others, from what is cheap to look at."""
    digest = hashlib.sha256(f"{__version__} {seed} {screen.counts.nnz} {settings.model_dump_json()}".encode())
    digest.update(np.ascontiguousarray(total, np.float64).tobytes())
    for array in (screen.perturbation, screen.batch, screen.genes):
        digest.update("\0".join(map(str, array)).encode())
    return digest.hexdigest()[:12]
