"""Effects → labelled questions of three splits: labels, splits, sampling, and what can go wrong with names.

Draws are seeded by ``--seed`` together with the effects themselves. The seed is published; were it enough to
repeat the draws, an entrant could tell from which random numbers a hidden row came, and so what its label is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from perturbarena.benchmark.labels import Effects, Labels, label_effects
from perturbarena.benchmark.sampling.fair import FairDesign, draw_fair_together
from perturbarena.benchmark.sampling.pairs import Pairs
from perturbarena.benchmark.sampling.published import draw_published
from perturbarena.benchmark.splits import TEST, TRAIN, VALIDATION, Splits, split_labels
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.workflows.build.settings import BuildSettings

HIDDEN: Final = (VALIDATION, TEST)
USAGE: Final = {VALIDATION: "Public", TEST: "Private"}
"""What ``Usage`` says of a hidden block: running leaderboards show one, the final ranking rests on the other."""
DRAWS: Final = ("splits", "sampling", "audit", "ceilings", "power")
"""Stages that draw, each from a stream of its own, in an order that must not change."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Labels, their splits, and by split the rows asked and what the design could not do.

    ``left_out`` says of perturbations why they are not asked; ``left_out_genes`` counts genes below the expression
    floor.
    """

    labels: Labels
    splits: Splits
    rows: dict[str, LabelledQuestions]
    notes: dict[str, tuple[str, ...]]
    left_out: dict[str, str]
    left_out_genes: int

    def hidden(self, *splits: str) -> LabelledQuestions:
        """The rows of some splits together, in an order that does not tell them apart."""
        rows = [self.rows[split] for split in splits]
        questions = Questions(
            *(np.concatenate([getattr(r.questions, name) for r in rows]) for name in ("id", "pert", "gene"))
        )
        return _in_order(LabelledQuestions(questions, np.concatenate([r.label for r in rows])))

    def usage(self) -> np.ndarray:
        """``Usage`` of every hidden row, in the order of ``hidden(*HIDDEN)``."""
        private = np.isin(self.hidden(*HIDDEN).id, self.rows[TEST].id)
        return np.where(private, USAGE[TEST], USAGE[VALIDATION]).astype(object)


def streams(seed: int, effects: Effects) -> dict[str, np.random.SeedSequence]:
    """A seed sequence for each stage, from the seed and the effects."""
    digest = hashlib.sha256(b"perturbarena question set\0")
    for names in (effects.perturbations, effects.genes):
        digest.update("\0".join(map(str, names)).encode() + b"\0\0")
    for values in (effects.log2fc, effects.fdr):
        digest.update(np.ascontiguousarray(values, "<f8").tobytes())
    root = np.random.SeedSequence([seed, int.from_bytes(digest.digest())])
    return dict(zip(DRAWS, root.spawn(len(DRAWS)), strict=True))


def draw_questions(
    effects: Effects,
    settings: BuildSettings,
    *,
    seeds: Mapping[str, np.random.SeedSequence],
    reasons: Mapping[str, str],
    groups: Mapping[str, str],
) -> Drawn:
    """Label, split and draw.

    ``reasons`` says of perturbations why nothing was estimated.

    Raises
    ------
    InputError
        If nothing can be asked (:func:`label_effects`, :func:`split_labels`), or ids would not be unique.
    """
    labels = label_effects(effects, settings.labels)
    left_out = {name: reasons.get(name) or why for name, why in labels.left_out.items()}
    _check_ids(labels)
    splits = split_labels(labels, settings.splits, rng=np.random.default_rng(seeds["splits"]), groups=groups)
    rows, notes = {}, {}
    for together, sequence in zip(((TRAIN,), HIDDEN), seeds["sampling"].spawn(2), strict=True):
        blocks = [splits.block(labels, split) for split in together]
        drawn = _draw(blocks, settings, together, np.random.default_rng(sequence))
        for split, block, pairs in zip(together, blocks, drawn, strict=True):
            rows[split], notes[split] = _in_order(pairs.questions(block)), pairs.notes
    return Drawn(labels, splits, rows, notes, left_out, len(effects.genes) - len(labels.genes))


def _draw(
    blocks: Sequence[Labels], settings: BuildSettings, splits: tuple[str, ...], rng: np.random.Generator
) -> list[Pairs]:
    """The pairs of blocks that will stand in one file."""
    try:
        if isinstance(settings.design, FairDesign):
            drawn = draw_fair_together(blocks, settings.design, rng=rng)
        else:
            drawn = [draw_published(block, settings.design, rng=rng) for block in blocks]
    except InputError as error:
        raise InputError(f"{' and '.join(splits)}: {error}") from error
    for split, block, pairs in zip(splits, blocks, drawn, strict=True):
        if not len(pairs.pert):
            raise InputError(
                f"{split}: no pair of its {len(block.perturbations)} perturbations and {len(block.genes)} genes "
                "can be asked; a larger screen or larger shares for this split are needed"
            )
    return drawn


def _in_order(rows: LabelledQuestions) -> LabelledQuestions:
    """By the SHA-256 of their ids: names alone decide the order, yet no knockout's rows stand together.

    Sorted by name they would, and a row's place tell a little.
    """
    return rows.take(np.argsort([hashlib.sha256(id_.encode()).hexdigest() for id_ in rows.id], kind="stable"))


def _check_ids(labels: Labels) -> None:
    """Refuse names of which two different pairs give one id; whether both are drawn is chance."""
    for a, b in _clashes(labels):
        raise InputError(
            f"two questions would have the id {a[0]}_{a[1]}: knockout {a[0]} with gene {a[1]}, and knockout "
            f"{b[0]} with gene {b[1]}; rename one of them in the input"
        )


def _clashes(labels: Labels) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    perts, genes = set(map(str, labels.perturbations)), set(map(str, labels.genes))
    for longer in sorted(p for p in perts if "_" in p):
        parts = longer.split("_")
        for i in range(1, len(parts)):
            shorter, rest = "_".join(parts[:i]), "_".join(parts[i:])
            if shorter in perts:
                for gene in sorted(g for g in genes if g.startswith(f"{rest}_")):
                    if (tail := gene.removeprefix(f"{rest}_")) in genes:
                        yield (longer, tail), (shorter, gene)
