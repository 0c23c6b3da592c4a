"""How long does a round of a campaign of published size take? 480 candidates × 10,000 genes, every strategy.

Run: OMP_NUM_THREADS=1 python benchmarks/bench_lab.py [--candidates 480] [--genes 10000] [--measured 240]
Effects are drawn, not estimated: this measures the campaign and not `screen effects`. Each command is a process of
its own, its start included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from perturbarena.lab import strategies
from perturbarena.screen import write_effect_table

MODULES, DIMENSIONS = 20, 50
ASKS_A_MODEL = ("llm", "llm-rerank")
MIXTURE = "0.5*hit+0.5*diversity"


def write_inputs(folder: Path, options: argparse.Namespace) -> None:
    """Candidates, their features, a graph, a programme, and effects of those measured before."""
    rng = np.random.default_rng(0)
    names = np.array([f"Ko{i}" for i in range(options.candidates)])
    genes = np.array([f"G{i}" for i in range(options.genes)])
    module = rng.integers(MODULES, size=len(names))
    features = rng.normal(size=(MODULES, DIMENSIONS))[module] + rng.normal(size=(len(names), DIMENSIONS))
    pd.DataFrame({"gene": names, "guide": [f"{n}_1;{n}_2;{n}_3;{n}_4" for n in names]}).to_csv(
        folder / "c.csv", index=False
    )
    pd.DataFrame(features, index=pd.Index(names, name="gene")).to_csv(folder / "f.csv")
    pd.DataFrame({"gene": genes[:50], "weight": rng.choice([-1, 1], 50)}).to_csv(folder / "p.csv", index=False)
    ends = rng.integers(len(names), size=(20 * len(names), 2))
    links = [(names[a], names[b]) for a, b in ends] + [
        (names[a], genes[b % 50]) for a, b in ends[: 5 * len(names)]
    ]
    pd.DataFrame(links, columns=["gene_a", "gene_b"]).to_csv(folder / "g.csv", index=False)
    m = options.measured
    effect = 0.3 * rng.normal(size=(MODULES, len(genes)))[module[:m]] + 0.3 * rng.normal(size=(m, len(genes)))
    fdr = rng.random(effect.shape)
    layers = {"log2fc": effect, "se_log2fc": np.full(effect.shape, 0.2), "log2fc_shrunk": effect, "lfsr": fdr,
              "pvalue": fdr, "fdr": fdr}  # fmt: skip
    obs = pd.DataFrame({"reason": [""] * m}, index=pd.Index(names[:m], name="perturbation"))
    table = anndata.AnnData(X=None, obs=obs, var=pd.DataFrame(index=genes), layers=layers)
    write_effect_table(folder / "effects.h5ad", table)


def timed(*words: str) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and peak MiB of a command."""
    command = [str(Path(sys.executable).with_name("perturbarena")), *words]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    if code:
        sys.exit(f"{' '.join(words)} failed")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=480)
    parser.add_argument("--genes", type=int, default=10_000)
    parser.add_argument("--measured", type=int, default=240)
    options = parser.parse_args()
    print(f"{options.candidates} candidates × {options.genes:,} genes, {options.measured} measured, 24 to choose")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| command | s | of processor time | peak MiB |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, options)
        root, files = str(folder / "C"), {k: str(folder / k) for k in ("c.csv", "f.csv", "p.csv", "g.csv")}
        begin = ("lab", "init", root, "--candidates", files["c.csv"], "--features", files["f.csv"], "--programme",
                 files["p.csv"], "--graph", files["g.csv"], "--batch", "24")  # fmt: skip
        steps = {"init": begin, "ingest": ("lab", "ingest", root, str(folder / "effects.h5ad"))}
        for strategy in [*(s for s in strategies() if s not in ASKS_A_MODEL), MIXTURE]:
            steps[f"propose --strategy {strategy}"] = ("lab", "propose", root, "--strategy", strategy, "--replace")
        steps |= {
            "status": ("lab", "status", root),
            "report": ("lab", "report", root, "-o", str(folder / "c.html")),
        }
        for title, words in steps.items():
            seconds, cpu, peak = timed(*words)
            print(f"| {title} | {seconds:.1f} | {cpu:.1f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
