"""What each kind of gene feature is worth to the transfer predictor, on the published training questions.

Run: python benchmarks/bench_transfer.py [--data ../shared/data] [--seeds 0 1 2]
Settings were chosen with fold seeds 100–102; the seeds scored here took no part in it.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from perturbarena.challenge.formats import read_labelled
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.evaluation import ScoreResult, score_strict
from perturbarena.knowledge import GeneFeatures, load_features
from perturbarena.stats.resampling import auroc_interval
from perturbarena.tracks import TransferSettings
from perturbarena.workflows.crossval import cross_validate_transfer

MEASURES = ("dir_auroc", "de_auroc", "de_within_strata", "de_within_gene")
CELLS = "screens/dixit_wt_bmdc_lps3h/dixit_wt_bmdc_lps3h_10x.h5ad"
DEFAULT = Path(os.environ.get("PERTURBARENA_TEST_DATA", "../shared")) / "data"


def dealt(block: GeneFeatures) -> GeneFeatures:
    """The block with its rows dealt to other genes: what the predictor finds in features that say nothing."""
    matrix = np.random.default_rng(0).permutation(block.matrix)
    return GeneFeatures(block.name, block.genes, matrix, block.source)


def measured(
    rows: LabelledQuestions,
    blocks: Sequence[GeneFeatures],
    *,
    seeds: Sequence[int],
    settings: TransferSettings,
    repeats: int = 1,
) -> tuple[list[ScoreResult], float]:
    """Scores for each fold seed, and the seconds of one cross-validation."""
    results, start = [], time.perf_counter()
    spent = 0.0
    for seed in seeds:
        start = time.perf_counter()
        out = cross_validate_transfer(rows, blocks, n_folds=5, seed=seed, repeats=repeats, settings=settings)
        spent += time.perf_counter() - start
        results.append(score_strict(rows, out.predictions, rng=np.random.default_rng(0), n_resamples=1000))
    return results, spent / len(seeds)


def cell(results: Sequence[ScoreResult], name: str) -> str:
    """Mean over fold seeds; the interval has the mean two-way variance, since all seeds ask the same questions."""
    value = float(np.mean([getattr(result, name) for result in results]))
    total = float(np.mean([result.variances[name].total for result in results]))
    interval = auroc_interval(value, total, min(results[0].n_perts, results[0].n_genes) - 1)
    bounds = "" if interval is None else f" ({interval.low:.3f}–{interval.high:.3f})"
    return f"{value:.3f}{bounds}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"skipped: no data at {options.data} (set PERTURBARENA_TEST_DATA or --data)")
        return
    rows = read_labelled(options.data / "bioreasoning/train.csv")
    start = time.perf_counter()
    found = load_features(knowledge=options.data / "knowledge", coexpression=options.data / CELLS).blocks
    print(
        f"features read in {time.perf_counter() - start:.1f} s; {len(rows):,} rows, fold seeds {options.seeds}\n"
    )
    expression, sets, cells = found
    both, seeds = TransferSettings(), options.seeds
    ladder = {
        "gene sets": ([sets], both),
        "expression, 28 cell types": ([expression], both),
        "co-expression, LPS dendritic cells": ([cells], both),
        "expression + gene sets": ([expression, sets], both),
        "expression + co-expression": ([expression, cells], both),
        "all three, linear model only": (found, TransferSettings(kernel_share=0)),
        "all three, kernel model only": (found, TransferSettings(kernel_share=1)),
        "**all three, both models**": (found, both),
        "all three, dealt to other genes": ([dealt(block) for block in found], both),
    }
    print(
        "| features | DIR | DE, published | DE, within strata | DE, within genes | s |\n|---|---|---|---|---|---|"
    )
    for name, (blocks, settings) in ladder.items():
        results, seconds = measured(rows, blocks, seeds=seeds, settings=settings)
        print(f"| {name} | " + " | ".join(cell(results, m) for m in MEASURES) + f" | {seconds:.1f} |", flush=True)
    results, seconds = measured(rows, found, seeds=seeds[:1], settings=both, repeats=3)
    cells_ = " | ".join(cell(results, m) for m in MEASURES)
    print(f"| all three, both models, 3 repeats averaged | {cells_} | {seconds:.1f} |")


if __name__ == "__main__":
    main()
