"""Does any way of choosing knockouts beat chance? Campaigns on simulated screens and on a real, small one.

Run: OMP_NUM_THREADS=1 python benchmarks/lab_strategies.py [--screens 50] [--seeds 1] [--data ../shared/data]
Simulated: each screen is drawn anew, its effects are estimated from counts, and hits are told by the true effects.
Features are the co-expression of its own control cells. The graph is noisy knowledge of modules: two genes of one
module are linked with probability 0.1, others with 0.02. The language model is a stand-in that names
candidates at random: it shows that the way is there, not what a model would do.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perturbarena.knowledge import GeneFeatures, coexpression_features, gene_set_features
from perturbarena.lab import Fared, Game, GeneGraph, HiddenScreen, Objective
from perturbarena.screen import (
    SimulatedScreen,
    SimulationSettings,
    estimate_effects,
    read_screen,
    simulate_screen,
    write_effect_table,
)
from perturbarena.stats.paired import PairedDifference
from perturbarena.workflows.lab.simulate import Simulated, SimulationPlan, simulate_campaigns
from perturbarena.workflows.lab.sources import candidate_features, measurements_of

DEFAULT = Path(os.environ.get("PERTURBARENA_TEST_DATA", "../shared")) / "data"
SIZE = {"perturbations": 200, "genes": 600, "cells_per_perturbation": 100, "control_cells": 2000}
CLEAR = SimulationSettings(**SIZE, control_guides=30, modules=6, module_share=0.7, counts_per_gene=1.0,
                           state_spread=0.5, measured_share=1.0)  # fmt: skip
KINDS = {
    "modules set the effects (share 0.7, 6 modules, deep)": CLEAR,
    "modules set little (share 0.3, 20 modules, shallow: the defaults)": SimulationSettings(**SIZE),
    "modules set nothing (share 0)": CLEAR.model_copy(update={"module_share": 0.0}),
}
LINKED, LINKED_OTHERWISE = 0.1, 0.02
PROGRAMME = 30


@dataclass(frozen=True)
class NamesAtRandom:
    """A language model that knows nothing: names out of the prompt's list, by the prompt's own hash."""

    def __call__(self, prompt: str) -> str:
        listed = prompt.partition("Candidates not yet measured: ")[2] or prompt.partition("first:")[2]
        names = [word.strip("-., :") for word in listed.split("\n\n")[0].replace(",", "\n").splitlines()]
        names = sorted({name.split(":")[0].strip() for name in names if name})
        digest = hashlib.sha256(prompt.encode()).digest()
        rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return " ".join(rng.permutation(names))


def hidden_simulation(seed: int, settings: SimulationSettings) -> HiddenScreen:
    """A screen from counts; the programme is the 30 most abundant genes of one module, up."""
    screen = simulate_screen(np.random.default_rng([seed, 7]), settings)
    cells = screen.to_anndata()
    shown = measurements_of(estimate_effects(cells, guide="guide", batch="batch"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "controls.h5ad"
        write_effect_table(path, cells[screen.perturbation == "control"].copy())
        features = candidate_features(shown.perturbations.tolist(), [coexpression_features(path)])
    modules = screen.truth_of_genes.modules[:, 0]
    abundant = np.argsort(-screen.truth_of_genes.share)
    programme = [screen.genes[g] for g in abundant if modules[g] == 0][:PROGRAMME]
    objective = Objective.of("hits", dict.fromkeys(programme, 1.0))
    return HiddenScreen.of(shown, features, objective, truth=screen.log2fc.astype(float),
                           graph=noisy_graph(screen, programme, seed), name=f"simulated {seed}")  # fmt: skip


def noisy_graph(screen: SimulatedScreen, programme: list[str], seed: int) -> GeneGraph:
    """Links between candidates and programme genes, more often within a module."""
    module = dict(zip(screen.genes, screen.truth_of_genes.modules[:, 0], strict=True))
    module |= dict(zip(screen.perturbations, screen.network.module, strict=True))
    names = sorted({*screen.perturbations, *programme})
    rng = np.random.default_rng([seed, 8])
    pairs = []
    for i, a in enumerate(names):
        p = np.where(np.array([module[b] for b in names[i + 1 :]]) == module[a], LINKED, LINKED_OTHERWISE)
        pairs += [(a, names[i + 1 + j], 1.0) for j in np.flatnonzero(rng.random(len(p)) < p)]
    return GeneGraph.of(pairs)


def hidden_papalexi(data: Path) -> HiddenScreen:
    """25 knockouts in THP-1 cells; features: co-expression of control cells, gene sets of mouse orthologues."""
    path = data / "screens/papalexi_thp1/papalexi_thp1_299genes.h5ad"
    screen = read_screen(path, perturbation="perturbation", control="non-targeting", batch="batch")
    shown = measurements_of(estimate_effects(screen))
    import anndata

    cells = anndata.read_h5ad(path)
    with tempfile.TemporaryDirectory() as folder:
        controls = Path(folder) / "controls.h5ad"
        cells[(cells.obs["perturbation"] == "non-targeting").to_numpy()].copy().write_h5ad(controls)
        coexpression = coexpression_features(controls)
    names = shown.perturbations.tolist()
    sets = gene_set_features(sorted(data.glob("knowledge/msigdb_mouse_*/*.gmt.gz")))
    mouse = {name: name.capitalize() for name in names}
    at = sets.positions([mouse[name] for name in names])
    kept = [i for i in range(len(names)) if at[i] >= 0]
    renamed = GeneFeatures(
        "gene_sets", np.array([names[i] for i in kept], object), sets.matrix[at[kept]], sets.source
    )
    features = candidate_features(names, [coexpression, renamed])
    return HiddenScreen.of(shown, features, Objective.of("everything", {}), name="papalexi_thp1")


def print_table(title: str, found: Simulated) -> None:
    first = found.fared[0]
    print(f"\n**{title}**: {first.screens} screens, {first.n} campaigns each\n", flush=True)
    print("| strategy | hits found | gain | permuted feedback | permuted features | prediction r | gain |")
    print("|---|---|---|---|---|---|---|")
    by: dict[str, dict[str, Fared]] = {}
    for one in found.fared:
        by.setdefault(one.strategy, {})[one.control] = one
    for name, of in by.items():
        real = of["none"]
        gains = [""] * 3 if name == "random" else [shown(o.gain) for o in of.values()]
        predicted = "" if name == "random" else shown(real.predicted_gain)
        print(
            f"| {name} | {real.area:.3f} | {' | '.join(gains)} | {real.predicted_area:.3f} | {predicted} |",
            flush=True,
        )


def shown(d: PairedDifference) -> str:
    """A difference with its interval; bold where clear of 0."""
    if d.interval is None:
        return f"{d.difference:+.3f}"
    text = f"{d.difference:+.3f} ({d.interval.low:+.3f} … {d.interval.high:+.3f})"
    return f"**{text}**" if d.interval.low > 0 or d.interval.high < 0 else text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT)
    parser.add_argument("--screens", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=1, help="campaigns of a strategy on each simulated screen")
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--only", default="", help="only screens whose title holds this")
    options = parser.parse_args()
    game = Game(start=10, rounds=5, batch=10)
    for title, settings in KINDS.items():
        if options.only in title:
            screens = [hidden_simulation(seed, settings) for seed in range(options.screens)]
            plan = SimulationPlan(seeds=options.seeds, game=game, ask=NamesAtRandom(), workers=options.workers)
            print_table(title, simulate_campaigns(screens, plan))
    if options.data.is_dir() and options.only in "papalexi":
        hidden = hidden_papalexi(options.data)
        plan = SimulationPlan(seeds=options.screens * options.seeds, game=Game(5, 3, 3, 0.25), ask=NamesAtRandom(),
                              workers=options.workers)  # fmt: skip
        print_table(f"papalexi_thp1, {len(hidden.features)} knockouts", simulate_campaigns([hidden], plan))


if __name__ == "__main__":
    main()
