"""What each kind of knowledge is worth to the transfer predictor, on the published training questions.

Run: python benchmarks/bench_transfer.py [--data ../shared/data] [--seeds 0 1 2] [--only TEXT]
Settings were chosen with fold seeds 100–102 of the same questions; the seeds scored here took no part in it.

Lines that begin with "dealt" are controls: features are dealt to other genes, among all, or among genes with
(nearly) as many rows, so that what remains is told by row counts and not by biology.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perturbarena.challenge.formats import read_labelled
from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.evaluation import ScoreResult, score_strict
from perturbarena.knowledge import Block, load_features
from perturbarena.stats.resampling import auroc_interval
from perturbarena.tracks import TransferSettings
from perturbarena.workflows.crossval import cross_validate_transfer

MEASURES = ("score", "dir_auroc", "de_auroc", "de_within_strata", "de_within_gene")
CELLS = "screens/dixit_wt_bmdc_lps3h/dixit_wt_bmdc_lps3h_10x.h5ad"
N_DEALT = 3
ALIKE = 20
"""Genes sorted by row count exchange features within runs of at least so many; rows of one count stay together."""
DEFAULT = Path(os.environ.get("PERTURBARENA_TEST_DATA", "../shared")) / "data"
EXPRESSION, CELL_BLOCKS = {"expression"}, {"coexpression", "level"}
ELSEWHERE = {"ko_elsewhere", "response_elsewhere", "pairs_elsewhere"}


class Line(NamedTuple):
    """One line of the table."""

    name: str
    blocks: Sequence[Block]
    settings: TransferSettings = TransferSettings()


def dealt(rows: LabelledQuestions, seed: int, *, among_alike: bool) -> LabelledQuestions:
    """The rows under exchanged names, which is features dealt to other genes while all else stays."""
    names, code = np.unique(np.concatenate([rows.gene, rows.pert]).astype(str), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = np.bincount(code[: len(rows)], minlength=len(names))
    order = np.lexsort([rng.random(len(names)), counts])
    group = _runs(counts[order]) if among_alike else np.zeros(len(names), int)
    other = np.empty(len(names), int)
    for g in np.unique(group):
        members = order[group == g]
        other[members] = rng.permutation(members)
    renamed = names[other][code]
    return LabelledQuestions(Questions.from_pairs(renamed[len(rows) :], renamed[: len(rows)]), rows.label)


def _runs(counts: np.ndarray) -> np.ndarray:
    """A group's number for each of the sorted counts: runs of at least ALIKE, equal counts in one group."""
    group, current, size = np.zeros(len(counts), int), 0, 0
    for i in range(1, len(counts)):
        size += 1
        if counts[i] != counts[i - 1] and size >= ALIKE:
            current, size = current + 1, 0
        group[i] = current
    if (group == current).sum() < ALIKE:
        group[group == current] = max(current - 1, 0)
    return group


def measured(
    rows: LabelledQuestions, line: Line, *, seeds: Sequence[int], repeats: int = 1
) -> tuple[list[ScoreResult], float]:
    """Scores for each fold seed, and the seconds of one cross-validation."""
    results, spent = [], 0.0
    for seed in seeds:
        start = time.perf_counter()
        out = cross_validate_transfer(
            rows, line.blocks, n_folds=5, seed=seed, repeats=repeats, settings=line.settings
        )
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


def printed(name: str, results: Sequence[ScoreResult], seconds: float) -> None:
    print(f"| {name} | " + " | ".join(cell(results, m) for m in MEASURES) + f" | {seconds:.1f} |", flush=True)


def ladder(blocks: Sequence[Block]) -> list[Line]:
    """Features in and out."""

    def only(names: set[str]) -> list[Block]:
        return [block for block in blocks if block.name in names]

    def without(names: set[str]) -> list[Block]:
        return [block for block in blocks if block.name not in names]

    sets = {block.name for block in blocks} - EXPRESSION - CELL_BLOCKS - ELSEWHERE
    free = without(ELSEWHERE)
    return [
        Line("expression", only(EXPRESSION)),
        Line("gene sets", only(sets)),
        Line("single cells", only(CELL_BLOCKS)),
        Line("open, without expression", without(ELSEWHERE | EXPRESSION)),
        Line("open, without gene sets", without(ELSEWHERE | sets)),
        Line("open, without single cells", without(ELSEWHERE | CELL_BLOCKS)),
        Line("open, without what pairs share", free, TransferSettings(pair_columns=False)),
        Line("open, direction by the linear model alone", free, TransferSettings(kernel_share=0)),
        Line("open, direction by the kernel model alone", free, TransferSettings(kernel_share=1)),
        Line("**open: all of the above**", free),
        Line("elsewhere alone", only(ELSEWHERE)),
        Line("**open + elsewhere**", blocks),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", default="", metavar="TEXT", help="lines whose name holds TEXT")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"skipped: no data at {options.data} (set PERTURBARENA_TEST_DATA or --data)")
        return
    rows = read_labelled(options.data / "bioreasoning/train.csv")
    start = time.perf_counter()
    blocks = load_features(
        knowledge=options.data / "knowledge",
        coexpression=options.data / CELLS,
        elsewhere=options.data / "perturbqa",
    ).blocks
    seeds = options.seeds
    print(f"features read in {time.perf_counter() - start:.1f} s; {len(rows):,} rows, fold seeds {seeds}\n")
    print("| features | score | DIR | DE, published | DE, within strata | DE, within genes | s |")
    print("|---|---|---|---|---|---|---|", flush=True)
    lines = ladder(blocks)
    for line in lines:
        if options.only in line.name:
            printed(line.name, *measured(rows, line, seeds=seeds))
    free = next(line for line in lines if line.name.startswith("**open:"))
    for name, line in (("open", free), ("open + elsewhere", lines[-1])):
        name += ", answers averaged over three repeats"
        if options.only in name:
            printed(name, *measured(rows, line, seeds=seeds[:1], repeats=3))
    for name, among_alike in (("dealt to any gene", False), ("dealt among genes with as many rows", True)):
        if options.only in name:
            runs = [
                measured(dealt(rows, seed, among_alike=among_alike), free, seeds=[seed]) for seed in range(N_DEALT)
            ]
            seconds = float(np.mean([s for _, s in runs]))
            printed(f"open, {name}, {N_DEALT} times", [result for found, _ in runs for result in found], seconds)


if __name__ == "__main__":
    main()
