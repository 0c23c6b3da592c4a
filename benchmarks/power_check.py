"""Does a paired test see the smallest visible difference in 80 of 100 question sets, and nothing in nothing?

Run: python benchmarks/power_check.py DATA [--sets 400] [--seed 2026]

DATA is a folder with train.csv and test.csv. The power of the hidden rows is measured as `benchmark power` does;
then pairs of entrants are drawn anew, equal ones and ones that differ by the smallest visible difference, and the
two-way paired test is applied to each pair.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from perturbarena.benchmark import read_question_set
from perturbarena.benchmark.entrants import EntrantModel, GeneLabels, simulate_pair
from perturbarena.benchmark.power import MEASURES, PowerSettings, measure_power, paired_differences
from perturbarena.challenge.records import Questions

MODELS = {
    "default": EntrantModel(),
    "no shared errors": EntrantModel(pert_share=0.0, gene_share=0.0),
    "one model, two prompts": EntrantModel(pert_correlation=0.9, gene_correlation=0.9, row_correlation=0.3),
}
N_RESAMPLES = 400


def rejections(rng, rows: Questions, labels: GeneLabels, model: EntrantModel, *, gap: float, n_sets: int):
    """Share of sets in which each measure's test rejects, and the SD of the observed differences."""
    pert, gene = (np.unique(names.astype(str), return_inverse=True)[1] for names in (rows.pert, rows.gene))
    seen, values = [], []
    for _ in range(n_sets):
        label = labels.draw(rng, gene)
        pair = simulate_pair(rng, model, pert, gene, label, gap=gap)
        found = paired_differences(pair, pert, gene, label, n_resamples=N_RESAMPLES, rng=rng)
        seen.append([found[name].significant(0.05) for name in MEASURES])
        values.append([found[name].value for name in MEASURES])
    return np.mean(seen, axis=0), np.std(values, axis=0, ddof=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--seed", type=int, default=2026)
    args = parser.parse_args()
    asked = read_question_set(args.data)
    if asked.hidden is None or asked.train is None:
        raise SystemExit("DATA needs train.csv and test.csv")
    labels, whole = GeneLabels.of(asked.train.rows), asked.hidden
    rng = np.random.default_rng(args.seed)
    perts, genes = (rng.permutation(np.unique(names.astype(str))) for names in (whole.pert, whole.gene))
    part = np.isin(whole.pert, perts[: len(perts) // 2]) & np.isin(whole.gene, genes[: len(genes) // 2])
    sets = [("all hidden rows", whole, name) for name in MODELS] + [("a quarter", whole.take(part), "default")]
    start = time.perf_counter()
    print(f"{args.sets} sets each; seed {args.seed}\n")
    print(f"{'':44s}{'smallest':>9s}{'SD':>8s}{'SD seen':>9s}{'at zero':>9s}{'at it':>8s}")
    for what, rows, name in sets:
        power = measure_power(rows, labels, rng=rng, model=MODELS[name], settings=PowerSettings(draws=40)).whole
        null, sd = rejections(rng, rows, labels, MODELS[name], gap=0.0, n_sets=args.sets)
        print(f"{what}, {len(rows):,} rows; {name}")
        for k, measure in enumerate(MEASURES):
            gap = power.smallest[measure]
            at, _ = rejections(rng, rows, labels, MODELS[name], gap=gap, n_sets=args.sets)
            print(
                f"  {measure:42s}{gap:9.4f}{power.sd[measure]:8.4f}{sd[k]:9.4f}{null[k]:8.1%} {at[k]:8.1%}",
                flush=True,
            )
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
