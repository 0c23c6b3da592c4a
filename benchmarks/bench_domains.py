"""Does what is learned in one screen hold in another? Train on one question set, answer another, names disjoint.

Run: python benchmarks/bench_domains.py [--data ../shared/data] [--rows 8000]

Macrophage questions are the published training questions; K562, RPE1, HepG2 and Jurkat are PerturbQA's, under
mouse names by orthologue, as many moved as unmoved rows, ``--rows`` at most, drawn at random. Training rows that
share a perturbation or a target gene with the answered set are left out. Features are the open ones, the same for
both sides; nothing of PerturbQA stands among them.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np

from perturbarena.challenge.folds import check_disjoint
from perturbarena.challenge.formats import read_labelled
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.evaluation import score_strict
from perturbarena.knowledge import load_features, read_orthologs, read_screen
from perturbarena.tracks import fit_transfer

CELLS = "screens/dixit_wt_bmdc_lps3h/dixit_wt_bmdc_lps3h_10x.h5ad"
MEASURES = ("score", "dir_auroc", "de_auroc", "de_within_strata", "de_within_gene")
LINES = {"K562": "k562", "RPE1": "rpe1", "HepG2": "hepg2", "Jurkat": "jurkat"}
PAIRS = (
    ("K562", "macrophages"), ("RPE1", "macrophages"), ("HepG2", "macrophages"), ("Jurkat", "macrophages"),
    ("macrophages", "K562"), ("macrophages", "Jurkat"), ("RPE1", "K562"),
)  # fmt: skip
DEFAULT = Path(os.environ.get("PERTURBARENA_TEST_DATA", "../shared")) / "data"


def balanced(rows: LabelledQuestions, n: int, rng: np.random.Generator) -> LabelledQuestions:
    """At most n/2 moved rows and as many unmoved ones, at random."""
    moved, still = np.flatnonzero(rows.is_de), np.flatnonzero(~rows.is_de)
    half = min(n // 2, len(moved), len(still))
    chosen = [rng.choice(kind, half, replace=False) for kind in (moved, still)]
    return rows.take(np.sort(np.concatenate(chosen)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--rows", type=int, default=8000)
    options = parser.parse_args()
    data = options.data
    if not (data / "perturbqa").is_dir():
        print(f"skipped: no data at {data} (set PERTURBARENA_TEST_DATA or --data)")
        return
    human = read_orthologs(data / "knowledge/orthologs/babelgene_hcop_human_mouse.tsv.gz")
    rng = np.random.default_rng(0)
    sets = {
        name: balanced(read_screen(data / "perturbqa", line, human), options.rows, rng)
        for name, line in LINES.items()
    }
    sets["macrophages"] = read_labelled(data / "bioreasoning/train.csv")
    blocks = load_features(knowledge=data / "knowledge", coexpression=data / CELLS).blocks
    print(
        "| trained on | rows | answered | rows | score | DIR | DE, published | within strata | within genes | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|", flush=True)
    for source, target in PAIRS:
        start = time.perf_counter()
        test = sets[target]
        train = sets[source]
        train = train.take(~np.isin(train.pert, list(set(test.pert))) & ~np.isin(train.gene, list(set(test.gene))))
        check_disjoint(train.pert, train.gene, test.pert, test.gene)
        answers = fit_transfer(train, blocks, rng=np.random.default_rng(0)).answer(test.questions)
        result = score_strict(test, answers.predictions, rng=np.random.default_rng(0), n_resamples=1000)
        cells = []
        for name in MEASURES:
            interval = result.intervals[name]
            bounds = "" if interval is None else f" ({interval.low:.3f}–{interval.high:.3f})"
            cells.append(f"{getattr(result, name):.3f}{bounds}")
        spent = time.perf_counter() - start
        print(
            f"| {source} | {len(train):,} | {target} | {len(test):,} | {' | '.join(cells)} | {spent:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
