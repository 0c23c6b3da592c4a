"""What does fusing a language model's answers with the transfer predictor's give, and what does fusing noise cost?

Run: python benchmarks/bench_fuse.py [--data ../shared/data] [--seeds 0 1 2]
The transfer predictor answers all training questions out of fold, doubly disjoint; the 2,499 rows that the
language model has answered are fused and scored. Settings of the fusion were chosen with fold seeds 100 and 101.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from perturbarena.challenge.formats import read_labelled, read_predictions
from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation import Answered, Contrast, ScoreResult, compare, score_strict
from perturbarena.knowledge import load_features
from perturbarena.stats.resampling import auroc_interval
from perturbarena.workflows.crossval import cross_validate_transfer
from perturbarena.workflows.fuse import Fused, fuse

CELLS = "screens/dixit_wt_bmdc_lps3h/dixit_wt_bmdc_lps3h_10x.h5ad"
MEASURES = ("score", "dir_auroc", "de_auroc", "de_within_strata", "de_within_gene")
COMPARED = ("score", "DIR", "DE", "DE_within_genes")
N_NOISE = 3
DEFAULT = Path(os.environ.get("PERTURBARENA_TEST_DATA", "../shared")) / "data"


def aligned(part: Predictions, rows: LabelledQuestions) -> Predictions:
    """The part's answers to these rows."""
    position = {id_: i for i, id_ in enumerate(part.id)}
    return part.take(np.array([position[id_] for id_ in rows.id]))


def noise(rows: LabelledQuestions, seed: int) -> Predictions:
    """Answers that know nothing."""
    p = np.random.default_rng([seed, 99]).dirichlet([1.0, 1.0, 1.0], len(rows))
    return Predictions(rows.id, p[:, 0], p[:, 1])


def scored(rows: LabelledQuestions, answers: Predictions) -> ScoreResult:
    return score_strict(rows, answers, rng=np.random.default_rng(0), n_resamples=1000)


def print_scores(name: str, results: Sequence[ScoreResult]) -> None:
    """A table's line; an interval has the mean variance over seeds, since all ask the same questions."""
    cells = []
    for measure in MEASURES:
        value = float(np.mean([getattr(result, measure) for result in results]))
        variance = float(np.mean([result.variances[measure].total for result in results]))
        found = auroc_interval(value, variance, min(results[0].n_perts, results[0].n_genes) - 1)
        cells.append(f"{value:.3f}" + ("" if found is None else f" ({found.low:.3f}–{found.high:.3f})"))
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def contrasts(rows: LabelledQuestions, first: Predictions, second: Predictions) -> Mapping[str, Contrast]:
    """Second less first, measure by measure."""
    answered = Answered(rows, rows.gene, (first, second), ())
    return compare(answered, rng=np.random.default_rng(0), n_resamples=1000)[0].contrasts


def print_differences(name: str, found: Sequence[Mapping[str, Contrast]]) -> None:
    """A table's line: mean over seeds of the difference and of its bounds."""
    cells = []
    for measure in COMPARED:
        of = [c[measure].difference for c in found]
        bounds = np.mean([d.interval for d in of if d.interval is not None], axis=0)
        cells.append(f"{np.mean([d.difference for d in of]):+.4f} ({bounds[0]:+.3f} … {bounds[1]:+.3f})")
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def print_parts(name: str, fused: Fused) -> None:
    for line in fused.lines():
        print(f"{name}  {line}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"skipped: no data at {options.data} (set PERTURBARENA_TEST_DATA or --data)")
        return
    every = read_labelled(options.data / "bioreasoning/train.csv")
    rows = read_labelled(options.data / "llm_outputs/prompt_train2499_labels.csv")
    model = aligned(read_predictions(options.data / "llm_outputs/prompt_train2499.csv.gz"), rows)
    blocks = load_features(knowledge=options.data / "knowledge", coexpression=options.data / CELLS).blocks
    transfer, fused, with_noise = {}, {}, {}
    for seed in options.seeds:
        answers = cross_validate_transfer(every, blocks, n_folds=5, seed=seed).predictions
        transfer[seed] = aligned(answers, rows)
        fused[seed] = fuse({"transfer": transfer[seed], "gpt-oss": model}, rows, seed=seed, n_resamples=0)
        print_parts(f"seed {seed}", fused[seed])
        for k in range(N_NOISE):
            parts = {"transfer": transfer[seed], "noise": noise(rows, 10 * seed + k)}
            with_noise[seed, k] = fuse(parts, rows, seed=seed, n_resamples=0)
            print_parts(f"seed {seed}, noise {k}", with_noise[seed, k])
    print("\n| answers | score | DIR | DE, published | DE, within strata | DE, within genes |")
    print("|---|---|---|---|---|---|")
    print_scores("gpt-oss", [scored(rows, model)])
    for seed in options.seeds:
        print_scores(f"transfer, seed {seed}", [scored(rows, transfer[seed])])
        print_scores(f"fused, seed {seed}", [scored(rows, fused[seed].predictions)])
    print_scores("**transfer**", [scored(rows, part) for part in transfer.values()])
    print_scores("**fused**", [scored(rows, part.predictions) for part in fused.values()])
    print_scores("transfer + noise", [scored(rows, part.predictions) for part in with_noise.values()])
    print("\n| difference | score | DIR | DE, published | DE, within genes |\n|---|---|---|---|---|")
    found = {seed: contrasts(rows, transfer[seed], fused[seed].predictions) for seed in options.seeds}
    for seed, of in found.items():
        print_differences(f"fused − transfer, seed {seed}", [of])
    print_differences("**fused − transfer**", list(found.values()))
    null = [contrasts(rows, transfer[seed], part.predictions) for (seed, _), part in with_noise.items()]
    print_differences("transfer + noise − transfer", null)


if __name__ == "__main__":
    main()
