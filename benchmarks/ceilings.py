"""Split-half ceilings beside the true ceiling, on simulated screens of 50 to 400 cells a perturbation.

Run: python benchmarks/ceilings.py [--seeds 2] [--cells 50 100 200 400]

Screens of 60 perturbations × 1,500 genes whose truth is known. Labels come from all cells; asked are, for every
gene, as many moved as unmoved pairs (up to 4 of each). The true ceiling ranks these labels by the true log2 fold
change, its size for DE and its signed value for DIR: what a predictor that knows the biology exactly would score.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from perturbarena.benchmark.labels import CALL_NONE, Effects, Labels, label_effects
from perturbarena.benchmark.sampling import Pairs
from perturbarena.screen import (
    SimulatedScreen,
    SimulationSettings,
    estimate_effects,
    from_anndata,
    simulate_screen,
)
from perturbarena.stats.auroc import rank
from perturbarena.workflows.ceiling import measure_ceilings

PER_CLASS = 4


def asked_pairs(labels: Labels, rng: np.random.Generator) -> Pairs:
    perts, genes = [], []
    for g in range(len(labels.genes)):
        classes = np.flatnonzero(labels.moved[:, g]), np.flatnonzero(labels.call[:, g] == CALL_NONE)
        k = min(PER_CLASS, *map(len, classes))
        chosen = np.concatenate([rng.permutation(of)[:k] for of in classes])
        perts.append(chosen)
        genes.append(np.full(len(chosen), g))
    return Pairs(np.concatenate(perts), np.concatenate(genes))


def true_ceiling(simulated: SimulatedScreen, labels: Labels, pairs: Pairs) -> tuple[float, float]:
    pert = {name: i for i, name in enumerate(simulated.perturbations)}
    gene = {name: i for i, name in enumerate(simulated.genes)}
    rows = [pert[name] for name in labels.perturbations[pairs.pert]]
    columns = [gene[name] for name in labels.genes[pairs.gene]]
    true, call = simulated.log2fc[rows, columns], labels.call[pairs.pert, pairs.gene]
    return rank(call != 0, np.abs(true)).value(), rank(call == 1, true, among=call != 0).value()


def measure(cells: int, seed: int, folder: Path) -> list[float]:
    settings = SimulationSettings(perturbations=60, genes=1500, cells_per_perturbation=cells)
    simulated = simulate_screen(np.random.default_rng(seed), settings)
    screen = from_anndata(
        simulated.to_anndata(), perturbation="perturbation", control="control", batch="batch", guide="guide"
    )
    table = estimate_effects(screen, workers=1)
    labels = label_effects(
        Effects(
            table.obs_names.to_numpy(object),
            table.var_names.to_numpy(object),
            np.asarray(table.layers["log2fc_shrunk"], np.float64),
            np.asarray(table.layers["fdr"]),
            table.var["share_of_control_cells"].to_numpy(),
        )
    )
    rng = np.random.default_rng([seed, 1])
    pairs = asked_pairs(labels, rng)
    rows = {"all": pairs.questions(labels)}
    found = measure_ceilings(screen, labels, rows, folder=folder / f"{cells}-{seed}", rng=rng, workers=1)
    split = found.splits["all"]
    half, agreement = split.split_half, split.agreement
    if half is None or agreement is None or (interval := half.intervals["de_auroc"]) is None:
        raise RuntimeError("a split half with both classes was asked for")
    true_de, true_direction = true_ceiling(simulated, labels, pairs)
    kept = [agreement.share[label][label] for label in ("up", "down", "none")]
    return [
        len(pairs.pert), half.n, half.de_auroc, interval.high - interval.low, true_de,
        half.dir_auroc, true_direction,
        split.gene_mean.de_auroc, split.perturbation_mean.de_auroc,
        split.gene_mean.dir_auroc, split.perturbation_mean.dir_auroc,
        agreement.kept, *kept, agreement.flipped,
    ]  # fmt: skip


HEADINGS = (
    "asked", "clear", "DE half", "width", "DE true", "DIR half", "DIR true", "gene DE", "pert DE", "gene DIR",
    "pert DIR", "kept", "up kept", "down kept", "none kept", "flipped",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cells", type=int, nargs="+", default=[50, 100, 200, 400])
    args = parser.parse_args()
    start = time.perf_counter()
    columns = []
    with tempfile.TemporaryDirectory() as folder:
        for cells in args.cells:
            found = [measure(cells, seed + 1, Path(folder)) for seed in range(args.seeds)]
            columns.append(np.mean(found, axis=0))
    print(
        f"means of {args.seeds} screens\n\n{'cells a perturbation':22s}" + "".join(f"{c:>9d}" for c in args.cells)
    )
    for i, heading in enumerate(HEADINGS):
        cells = "".join(f"{column[i]:9,.0f}" if i < 2 else f"{column[i]:9.4f}" for column in columns)
        print(f"{heading:22s}{cells}")
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
