"""What structure alone gives away under the fair and under the published design, on the same screens.

    python benchmarks/fair_design.py [--seeds 5] [--keep FOLDER] [EFFECTS.h5ad …]

Without effect tables, screens of the published size are simulated and their effects estimated (some 3 minutes
each); ``--keep`` stores those tables and takes them from there the next time. ``--whole`` draws from all
perturbations that move 3 genes, without splits: for screens too small to be split.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from perturbarena.benchmark.audit import LabelledFile, QuestionSet, audit_questions
from perturbarena.benchmark.labels import Effects, LabelSettings, label_effects
from perturbarena.benchmark.sampling import FairDesign, PublishedDesign, draw_fair_together, draw_published
from perturbarena.benchmark.splits import TEST, TRAIN, VALIDATION, SplitSettings, split_labels
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.screen import (
    SimulationSettings,
    estimate_effects,
    read_effect_table,
    simulate_screen,
    write_effect_table,
)
from perturbarena.workflows.build.source import effects_of

STRUCTURE = {
    "gene rows",
    "perturbation rows",
    "singletons",
    "proportional fitting",
    "graph components",
    "trained on structure",
}
SMALL = 3
"""Least number of moved genes of a perturbation with ``--whole``."""
PUBLISHED_LABELS = LabelSettings(min_share_of_control_cells=0.0, ask_self=True)
PUBLISHED_SPLITS = SplitSettings(across=False, draws=1)


def simulated(seed: int, folder: Path) -> Path:
    """The effect table of a simulated screen, made unless it is there."""
    path = folder / f"effects-{seed}.h5ad"
    if not path.exists():
        screen = simulate_screen(np.random.default_rng(seed), SimulationSettings())
        write_effect_table(path, estimate_effects(screen.to_anndata()))
    return path


def question_sets(effects: Effects, seed: int, *, whole: bool) -> dict[str, dict[str, LabelledQuestions]]:
    """Each design's three blocks, or one of everything."""
    sets = {}
    for design, label_settings, split_settings, draw in (
        ("fair", LabelSettings(), SplitSettings(), lambda bs, rng: draw_fair_together(bs, FairDesign(), rng=rng)),
        (
            "published",
            PUBLISHED_LABELS,
            PUBLISHED_SPLITS,
            lambda bs, rng: [draw_published(b, PublishedDesign(), rng=rng) for b in bs],
        ),
    ):
        rng = np.random.default_rng(seed)
        if whole:
            labels = label_effects(effects, label_settings.model_copy(update={"min_degs": SMALL}))
            sets[design] = {TRAIN: draw([labels], rng)[0].questions(labels)}
            continue
        labels = label_effects(effects, label_settings)
        splits = split_labels(labels, split_settings, rng=rng)
        sets[design] = {}
        for together in ((TRAIN,), (VALIDATION, TEST)):
            blocks = [splits.block(labels, s) for s in together]
            for s, block, pairs in zip(together, blocks, draw(blocks, rng), strict=True):
                sets[design][s] = pairs.questions(block)
    return sets


def both(one: LabelledQuestions, two: LabelledQuestions) -> LabelledQuestions:
    """The hidden rows as published: both blocks, sorted by id."""
    ids, perts, genes, label = (
        np.concatenate(pair)
        for pair in ((one.id, two.id), (one.pert, two.pert), (one.gene, two.gene), (one.label, two.label))
    )
    order = np.argsort(ids.astype(str))
    return LabelledQuestions(Questions(ids[order], perts[order], genes[order]), label[order])


def same_gene_pairs(rows: LabelledQuestions) -> int:
    """Pairs of a moved and an unmoved row of one gene: what the score within genes lives on."""
    code = np.unique(rows.gene.astype(str), return_inverse=True)[1]
    moved = np.bincount(code, rows.is_de)
    return int((moved * (np.bincount(code) - moved)).sum())


def report(paths: list[Path], *, whole: bool) -> None:
    """Print both tables."""
    attacks: dict[tuple[str, str, str, str], list[tuple[float, float]]] = defaultdict(list)
    shape = []
    for seed, path in enumerate(paths, start=1):
        for design, blocks in question_sets(
            effects_of(read_effect_table(path), str(path)), seed, whole=whole
        ).items():
            named = {"train": blocks[TRAIN]}
            if not whole:
                named["hidden"] = both(blocks[VALIDATION], blocks[TEST])
            shape += [(path.stem, design, name, rows) for name, rows in named.items()]
            files = [LabelledFile(rows, rows.id) for rows in named.values()]
            asked = QuestionSet(
                files[0], None if whole else named["hidden"].questions, None if whole else files[1]
            )
            audit = audit_questions(asked, rng=np.random.default_rng(seed))
            for f in audit.findings:
                if f.attack in STRUCTURE:
                    high = 1.0 if f.adjusted is None else f.adjusted.high
                    attacks[f.attack, f.rows, f.target, design].append((f.auroc, high))
    print(f"{'attack':<22}{'rows':<8}{'':<5}{'fair: mean':>11}{'highest':>9}{'upper end':>11}", end="")
    print(f"{'published: mean':>18}{'upper end':>11}")
    for attack, of, target in dict.fromkeys(key[:3] for key in attacks):
        fair, published = (np.array(attacks[attack, of, target, d]) for d in ("fair", "published"))
        print(
            f"{attack:<22}{of:<8}{target:<5}{fair[:, 0].mean():>11.3f}{fair[:, 0].max():>9.3f}"
            f"{fair[:, 1].max():>11.3f}{published[:, 0].mean():>18.3f}{published[:, 1].max():>11.3f}"
        )
    print(f"\n{'screen':<16}{'design':<11}{'rows':<8}{'n':>7}{'perts':>7}{'genes':>7}", end="")
    print(f"{'none':>7}{'up of moved':>13}{'same-gene pairs':>17}{'a row':>7}")
    for screen, design, name, rows in shape:
        pairs = same_gene_pairs(rows)
        print(
            f"{screen:<16}{design:<11}{name:<8}{len(rows):>7,}{len(set(rows.pert)):>7}{len(set(rows.gene)):>7,}"
            f"{1 - rows.is_de.mean():>7.1%}{rows.is_up.sum() / max(rows.is_de.sum(), 1):>13.1%}"
            f"{pairs:>17,}{pairs / len(rows):>7.2f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("effects", nargs="*", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        kept = given.keep or Path(scratch)
        report(given.effects or [simulated(seed, kept) for seed in range(1, given.seeds + 1)], whole=given.whole)
