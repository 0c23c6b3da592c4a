"""Does the published design, on a simulated screen, give question sets of the published shape?

Run: python benchmarks/published_shape.py EFFECTS.h5ad [EFFECTS.h5ad …] [--data ../shared/data] [--seed 0]

EFFECTS come from ``perturbarena screen simulate -o SIM.h5ad --perturbations 482 --genes 10000 --seed S`` and
``perturbarena screen effects SIM.h5ad -o EFFECTS.h5ad --batch batch``. Names are dealt to splits by chance alone,
as far as is known of the published set.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from perturbarena.benchmark.labels import Effects, Labels, LabelSettings, label_effects
from perturbarena.benchmark.sampling import draw_published
from perturbarena.benchmark.splits import SPLITS, SplitSettings, split_labels
from perturbarena.challenge.folds import Folds
from perturbarena.challenge.formats import read_labelled, read_questions
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.screen import read_effect_table
from perturbarena.stats import structure as shape
from perturbarena.stats.auroc import rank

DEFAULT = Path(os.environ.get("PERTURBARENA_TEST_DATA", "../shared")) / "data"
PUBLISHED = LabelSettings(min_share_of_control_cells=0.0, ask_self=True)
CHANCE_SPLITS = SplitSettings(across=False, draws=1)
TRAINED_FOLDS = 3

Column = dict[str, str]


def counted(questions: Questions) -> Column:
    """What can be counted without labels."""
    graph = shape.Structure.of(questions.pert, questions.gene)
    of_gene, of_pert = graph.gene_size, graph.pert_size
    return {
        "rows": f"{len(questions.pert):,}",
        "perturbations": f"{len(of_pert):,}",
        "genes": f"{len(of_gene):,}",
        "genes with 1 row": f"{(of_gene == 1).sum():,}",
        "genes with 2 rows": f"{(of_gene == 2).sum():,}",
        "genes with 10 rows or more": f"{(of_gene >= 10).sum():,}",
        "most rows of a gene": f"{of_gene.max():,}",
        "perturbations with 18 rows": f"{(of_pert == 18).mean():.0%}",
        "rows of a perturbation, least and most": f"{of_pert.min()}, {of_pert.max()}",
    }


def judged(rows: LabelledQuestions, *, seed: int) -> Column:
    """What labels add: their mix, and how far structure gives them away."""
    graph = shape.Structure.of(rows.pert, rows.gene)
    moved = rows.is_de
    of_gene = np.bincount(graph.gene, moved)
    of_pert = np.bincount(graph.pert, moved)
    surplus = graph.pert_size - 2 * of_pert
    folds = Folds.deal(rows.pert, rows.gene, n_folds=TRAINED_FOLDS, rng=np.random.default_rng(seed))
    inside = [(block.train, block.test) for block in folds.blocks()]
    trained = shape.cross_fitted_score(shape.features(graph), moved, inside)
    direction = shape.leave_one_out(rows.gene, rows.is_up, among=moved)
    return {
        "none": f"{1 - moved.mean():.1%}",
        "up, of moved rows": f"{rows.is_up[moved].mean():.1%}",
        "genes with 1 row, that are none": f"{((graph.gene_size == 1) & (of_gene == 0)).sum():,}",
        "genes that ever move": f"{(of_gene > 0).sum():,}",
        "genes that move 10 times or more": f"{(of_gene >= 10).sum():,}",
        "perturbations with 9 moved rows": f"{(of_pert == 9).mean():.0%}",
        "unchanged beyond moved rows of a perturbation, SD": f"{surplus.std():.2f}",
        **{name: f"{rank(moved, score).value():.3f}" for name, score in shape.fixed_scores(graph).items()},
        "trained on structure": f"{rank(moved, trained).value():.3f}",
        "DIR by the gene's other rows": f"{rank(rows.is_up, direction.score, among=direction.among).value():.3f}",
    }


def called(labels: Labels) -> Column:
    """Kept perturbations and their moved genes, before any sampling."""
    low, median, high = np.quantile(labels.moved.sum(axis=1), [0.25, 0.5, 0.75])
    return {
        "kept perturbations": f"{len(labels.perturbations):,}",
        "moved genes: median (quartiles)": f"{median:g} ({low:g}, {high:g})",
        "up, of moved genes": f"{(labels.call == 1).sum() / labels.moved.sum():.1%}",
    }


def labelled(path: Path) -> Labels:
    """The labels of an effect table, as published."""
    table = read_effect_table(path)
    effects = Effects(
        np.asarray(table.obs_names, object),
        np.asarray(table.var_names, object),
        np.asarray(table.layers["log2fc_shrunk"], np.float64),
        np.asarray(table.layers["fdr"], np.float64),
        table.var["share_of_control_cells"].to_numpy(),
    )
    return label_effects(effects, PUBLISHED)


def simulated(path: Path, *, seed: int) -> tuple[Column, list[Column]]:
    """The training block's column, and those of both hidden blocks."""
    labels = labelled(path)
    rng = np.random.default_rng(seed)
    splits = split_labels(labels, CHANCE_SPLITS, rng=rng)
    columns = []
    for split in SPLITS:
        block = splits.block(labels, split)
        rows = draw_published(block, rng=rng).questions(block)
        columns.append(counted(rows.questions) | judged(rows, seed=seed))
    return called(labels) | columns[0], columns[1:]


def show(columns: dict[str, Column]) -> None:
    """A Markdown table, one line for each measure that any column has."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    print(f"| | {' | '.join(columns)} |\n|---{'|---' * len(columns)}|")
    for name in names:
        print(f"| {name} | {' | '.join(column.get(name, '') for column in columns.values())} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("effects", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--seed", type=int, default=0, help="of splits and sampling")
    args = parser.parse_args()
    folder = args.data / "bioreasoning"
    train = read_labelled(folder / "train.csv")
    known = {"kept perturbations": "482", "moved genes: median (quartiles)": "193 (56, 516.5)"}
    training = {"published": known | counted(train.questions) | judged(train, seed=args.seed)}
    hidden = {"published (both)": counted(read_questions(folder / "test.csv"))}
    for path in args.effects:
        training[path.stem], blocks = simulated(path, seed=args.seed)
        hidden |= {f"{path.stem} {split}": block for split, block in zip(SPLITS[1:], blocks, strict=True)}
    show(training)
    show(hidden)


if __name__ == "__main__":
    main()
