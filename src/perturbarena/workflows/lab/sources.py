"""What a campaign is made of, from files: results, features of candidates, links, programmes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from perturbarena.challenge.formats import numbers, read_table, sha256
from perturbarena.errors import FormatError, InputError
from perturbarena.knowledge import GeneFeatures, KnowledgeBase
from perturbarena.lab import CandidateFeatures, GeneGraph, Measurements
from perturbarena.screen import EffectSettings, estimate_effects, read_effect_table, read_screen
from perturbarena.screen.parts import open_parts
from perturbarena.screen.table import LAYERS
from perturbarena.workflows.build.source import ScreenColumns, reasons_of

if TYPE_CHECKING:
    from anndata import AnnData

    from perturbarena.knowledge import Block

Progress = Callable[[int, int], None]
LAYER_OF: Final = {"effect": "log2fc_shrunk", "log2fc": "log2fc", "se": "se_log2fc", "fdr": "fdr"}
STRONGEST_LINK: Final = 1.0


class Results(NamedTuple):
    """Effects from a file; ``reasons`` of knockouts that were not estimated; ``guides`` that any cell has,
    None where the file does not say; ``kind`` effect table or screen."""

    measured: Measurements
    reasons: Mapping[str, str]
    guides: frozenset[str] | None
    kind: str


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names.

    Raises
    ------
    FormatError
        If there is nothing.
    """
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        raise FormatError(f"no such file: {path}")
    digest = hashlib.sha256()
    for part in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{part.relative_to(path)}\0{sha256(part)}\0".encode())
    return digest.hexdigest()


def read_results(
    path: Path,
    columns: ScreenColumns | None = None,
    *,
    settings: EffectSettings | None = None,
    checkpoint: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Results:
    """Effects from an effect table, or from counts by way of ``screen effects``; told by the file's layers.

    Raises
    ------
    FormatError, InputError
        If it is neither, or the screen is refused.
    """
    if not path.exists():
        raise FormatError(f"no such file: {path}")
    columns = columns or ScreenColumns()
    with open_parts(path) as parts:
        is_table = set(LAYERS) <= set(parts.layers)
        has_guides = "guide" in parts.obs.columns
    if is_table:
        table = read_effect_table(path)
        return Results(measurements_of(table), reasons_of(table), None, "effect table")
    chosen = asdict(columns)
    if chosen["guide"] is None and chosen["guide_counts"] is None and has_guides:
        chosen["guide"] = "guide"
    screen = read_screen(path, **chosen)
    table = estimate_effects(screen, settings=settings, checkpoint=checkpoint, workers=workers, progress=progress)
    guides = None if screen.guide is None else frozenset(map(str, np.unique(screen.guide))) - {""}
    return Results(measurements_of(table), reasons_of(table), guides, "screen")


def measurements_of(table: AnnData) -> Measurements:
    """What a campaign keeps of an effect table."""
    layers = {name: np.asarray(table.layers[layer], np.float64) for name, layer in LAYER_OF.items()}
    return Measurements(
        np.array([str(name) for name in table.obs_names], object),
        np.array([str(name) for name in table.var_names], object),
        **layers,
    )


def candidate_features(names: Sequence[str], blocks: Sequence[Block]) -> CandidateFeatures:
    """The tables of genes among the blocks, for these candidates; collections of sets come as their
    embedding."""
    raw = {}
    for block in blocks:
        if isinstance(block, GeneFeatures):
            at = block.positions(names)
            raw[block.name] = np.where((at >= 0)[:, None], block.matrix[at], np.nan)
    return CandidateFeatures.of(np.array(names, object), raw)


def store_graph(path: Path, names: Sequence[str]) -> GeneGraph:
    """Links from a knowledge store: what the candidates regulate and are regulated by, and their neighbours.

    Raises
    ------
    InputError
        If the store knows no link of any of them.
    """
    pairs: list[tuple[str, str, float]] = []
    with KnowledgeBase.open(path) as base:
        for name in names:
            pairs += [(name, edge.target, STRONGEST_LINK) for edge in base.targets(name).found]
            pairs += [(edge.regulator, name, STRONGEST_LINK) for edge in base.regulators(name).found]
            pairs += [(name, link.symbol, link.confidence) for link in base.neighbours(name).found]
    if not pairs:
        raise InputError(f"{path} knows no link of any of the {len(names)} candidates")
    return GeneGraph.of(pairs)


def read_programme(words: str) -> dict[str, float]:
    """Gene → weight, from a CSV with ``gene`` and (where not all are 1) ``weight``, or from words:
    ``Cxcl10,-Il6``.

    Raises
    ------
    FormatError, InputError
        If a weight is no number, or a gene stands twice.
    """
    path = Path(words)
    if path.suffix == ".csv" or path.is_file():
        table = read_table(path, required=("gene",))
        genes = [gene.strip() for gene in table["gene"]]
        weights = (
            numbers(table["weight"], "weight", source=path).tolist() if "weight" in table else [1.0] * len(genes)
        )
    else:
        parts = [part.strip() for part in words.split(",") if part.strip()]
        genes = [part.lstrip("+-").strip() for part in parts]
        weights = [-1.0 if part.startswith("-") else 1.0 for part in parts]
    twice = sorted({gene for gene in genes if genes.count(gene) > 1})
    if twice:
        raise InputError(
            f"{words}: a gene may stand once in a programme; {twice[0]} stands {genes.count(twice[0])} times"
        )
    if "" in genes:
        raise InputError(f"{words}: a programme's genes must have names")
    return dict(zip(genes, weights, strict=True))
