"""Effects: seconds a perturbation beside R's glmGamPoi, scaling, where the time goes, and a whole screen.

Run: python benchmarks/bench_effects.py [--full]     (--full adds 500 perturbations + 500 nulls, about 4 minutes)

The realistic case is tests/golden/effects/real.npz: 10,000 genes × 2,250 cells, 5 batches, 90 % zeros. R is
timed in the same run where Rscript finds glmGamPoi (Debian: r-bioc-glmgampoi); pydeseq2 and crispyx where they can
be imported. Nothing is installed here.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sp

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.stats.effects_cases import load_golden  # noqa: E402

from perturbarena.screen.cells import Cells, Controls  # noqa: E402
from perturbarena.screen.read import Screen  # noqa: E402
from perturbarena.stats import dispersion, nb_glm, quasi_likelihood  # noqa: E402

R_SCRIPT = """
suppressPackageStartupMessages(library(glmGamPoi))
folder <- commandArgs(TRUE)[1]
dims <- scan(file.path(folder, "dims.txt"), quiet = TRUE)
counts <- matrix(readBin(file.path(folder, "counts.i32"), "integer", prod(dims), size = 4), dims[1], dims[2])
cells <- read.csv(file.path(folder, "cells.csv")); cells$batch <- factor(cells$batch)
time <- system.time({
  fit <- glm_gp(counts, design = ~ pert + batch, col_data = cells)
  res <- test_de(fit, contrast = "pert")
})
cat("RESULT", time["user.self"] + time["sys.self"], time["elapsed"], sum(res$adj_pval < 0.05), "\\n")
"""


def realistic() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts (genes × cells), 1 for perturbed cells, batch."""
    case = load_golden("real")
    return case.counts, case.pert, case.batch


def screen_of(counts: np.ndarray, pert: np.ndarray, batch: np.ndarray) -> Screen:
    """A screen of one perturbation; ``counts`` are genes × cells."""
    names = np.array([f"g{i}" for i in range(len(counts))], object)
    label = np.where(pert == 1, "perturbed", "control").astype(object)
    return Screen(sp.csr_matrix(counts.T), names, label, "control", batch.astype(str).astype(object))


def best_cpu(work, repeats: int = 5):
    """Least CPU seconds of several calls, and the last result."""
    least = np.inf
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        least = min(least, time.process_time() - start)
    return least, result


def one_perturbation() -> None:
    counts, pert, batch = realistic()
    start = time.perf_counter()
    screen = screen_of(counts, pert, batch)
    cells = Cells.of(screen, np.arange(len(counts)))
    controls = Controls.of(cells, np.flatnonzero(pert == 0))
    perturbed = np.flatnonzero(pert == 1)
    controls.test(perturbed)
    first = time.perf_counter() - start
    seconds, fit = best_cpu(lambda: controls.test(perturbed))
    print(f"\none perturbation, {counts.shape[0]:,} genes × {counts.shape[1]:,} cells")
    print(f"  {'perturbarena':<28}{seconds:9.3f} CPU s   {int((fit.fdr < 0.05).sum())} genes at FDR 5 %")
    print(f"  {'  first call in a process':<28}{first:9.3f} s       (compiles once, or loads the cache)")
    ours = seconds
    reference = glmgampoi(counts, pert, batch)
    if reference is None:
        print("  glmGamPoi: not timed; Rscript with the package glmGamPoi (Debian: r-bioc-glmgampoi) is not here")
    else:
        cpu, wall, found = reference
        print(f"  {'R glmGamPoi':<28}{cpu:9.3f} CPU s   {found} genes at FDR 5 %   ({wall:.1f} s wall)")
        print(f"  {'ratio at equal CPU':<28}{cpu / ours:9.0f} ×")
    for name, seconds in python_others(counts, pert, batch):
        print(
            f"  {name:<28}{seconds:9.3f} CPU s   {seconds / ours:9.0f} ×"
            if seconds
            else f"  {name}: not installed"
        )


def glmgampoi(counts, pert, batch) -> tuple[float, float, int] | None:
    if shutil.which("Rscript") is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        np.ascontiguousarray(counts.T.astype(np.int32)).tofile(path / "counts.i32")
        np.savetxt(path / "dims.txt", counts.shape, fmt="%d")
        np.savetxt(
            path / "cells.csv", np.c_[pert, batch], fmt="%d", delimiter=",", header="pert,batch", comments=""
        )
        (path / "run.R").write_text(R_SCRIPT)
        done = subprocess.run(["Rscript", path / "run.R", folder], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("RESULT"):
            cpu, wall, found = line.split()[1:]
            return float(cpu), float(wall), int(found)
    return None


def python_others(counts, pert, batch):
    """Name and CPU seconds of pydeseq2 and crispyx; None where it is not installed."""
    for name, work in (("pydeseq2", pydeseq2), ("crispyx", crispyx)):
        yield name, None if importlib.util.find_spec(name) is None else work(counts, pert, batch)


def crispyx(counts, pert, batch) -> float:
    """Its defaults with the batch as covariate and no gene left out."""
    import anndata as ad
    import crispyx as cx
    import pandas as pd

    label = np.where(pert == 1, "perturbed", "control")
    names = [f"c{i}" for i in range(len(pert))]
    obs = pd.DataFrame({"pert": label, "batch": [f"b{b}" for b in batch]}, index=names)
    var = pd.DataFrame(index=[f"g{i}" for i in range(len(counts))])
    with tempfile.TemporaryDirectory() as folder:
        ad.AnnData(sp.csr_matrix(counts.T.astype(np.float32)), obs=obs, var=var).write_h5ad(
            f"{folder}/screen.h5ad"
        )
        start = time.process_time()
        cx.nb_glm_test(
            f"{folder}/screen.h5ad", perturbation_column="pert", control_label="control", covariates=["batch"],
            min_pct_ctrl=0.0, min_pct_pert=0.0, min_mean_ctrl=0.0, min_mean_pert=0.0, min_cells_ctrl=0,
            min_cells_pert=0, min_total_count=0.0, output_path=f"{folder}/out.h5ad", verbose=False, n_jobs=1,
        )  # fmt: skip
        return time.process_time() - start


def pydeseq2(counts, pert, batch) -> float:
    """Its defaults in one process; size factors as sparse counts need them."""
    import pandas as pd
    from pydeseq2.dds import DeseqDataSet
    from pydeseq2.default_inference import DefaultInference
    from pydeseq2.ds import DeseqStats

    alone = DefaultInference(n_cpus=1)

    names = [f"c{i}" for i in range(len(pert))]
    cells = pd.DataFrame({"pert": pert.astype(str), "batch": batch.astype(str)}, index=names)
    start = time.process_time()
    dds = DeseqDataSet(
        counts=pd.DataFrame(counts.T, index=names), metadata=cells, design="~batch + pert",
        size_factors_fit_type="poscounts", refit_cooks=False, inference=alone, quiet=True,
    )  # fmt: skip
    dds.deseq2()
    DeseqStats(dds, contrast=["pert", "1", "0"], cooks_filter=False, inference=alone, quiet=True).summary()
    return time.process_time() - start


def where_time_goes() -> None:
    counts, pert, batch = realistic()
    cells = Cells.of(screen_of(counts, pert, batch), np.arange(len(counts)))
    perturbed = np.flatnonzero(pert == 1)
    build, side = best_cpu(lambda: cells.side(perturbed))
    control = Controls.of(cells, np.flatnonzero(pert == 0)).ready
    n = float(counts.shape[1])
    estimate, (_, beta, beta_p, mean, theta) = best_cpu(lambda: nb_glm._estimate(control, side, n, 1.0))
    trend_time, trend = best_cpu(lambda: dispersion.local_median(mean, theta))
    shrink, quasi = best_cpu(lambda: quasi_likelihood.shrink(mean, theta, trend, df=2244))
    test, (_, gain, _) = best_cpu(lambda: nb_glm._test(control, side, theta, trend, beta, beta_p))
    pvalue, _ = best_cpu(lambda: quasi_likelihood.f_test(gain, quasi, df=2244))
    nonzero = len(control.counts) + len(side.counts)
    print(f"\nwhere the time goes ({nonzero:,} non-zero counts, {nonzero * 16 / 1e6:.0f} MB read a pass)")
    for name, seconds in (
        ("gather and tabulate perturbed cells", build), ("first β and overdispersion", estimate),
        ("trend (running weighted median)", trend_time), ("quasi-likelihood prior", shrink),
        ("refit, reduced model, deviance", test), ("p-values", pvalue),
    ):  # fmt: skip
        print(f"  {name:<38}{seconds * 1e3:8.1f} ms")


def scaling() -> None:
    counts, pert, batch = realistic()
    print("\nscaling: CPU seconds a perturbation")
    print(f"  {'genes':>8}{'cells':>8}{'seconds':>10}")
    for n_genes, share in ((1000, 1.0), (2500, 1.0), (5000, 1.0), (10000, 1.0), (10000, 0.5), (10000, 0.25)):
        rng = np.random.default_rng(0)
        kept = np.sort(rng.choice(len(pert), int(len(pert) * share), replace=False))
        chosen = np.sort(rng.choice(len(counts), n_genes, replace=False))
        some = counts[np.ix_(chosen, kept)]
        cells = Cells.of(screen_of(some, pert[kept], batch[kept]), np.arange(n_genes))
        controls = Controls.of(cells, np.flatnonzero(pert[kept] == 0))
        perturbed = np.flatnonzero(pert[kept] == 1)
        controls.test(perturbed)
        seconds, _ = best_cpu(lambda c=controls, p=perturbed: c.test(p), 3)
        print(f"  {n_genes:>8,}{len(kept):>8,}{seconds:>10.3f}")


def whole_screen(n_perturbations: int, n_nulls: int) -> None:
    """Perturbations and nulls of 250 cells against 2,000 shared controls, resampled from the realistic case."""
    import resource

    from perturbarena.screen import EffectSettings
    from perturbarena.screen.blocks import fit_all
    from perturbarena.screen.effects import effect_comparisons, prepare

    counts, pert, batch = realistic()
    rng = np.random.default_rng(0)
    by_cell = sp.csr_matrix(counts.T)
    control, perturbed = np.flatnonzero(pert == 0), np.flatnonzero(pert == 1)
    picks = [control]
    labels = [np.full(len(control), "control", object)]
    for k in range(n_perturbations + n_nulls):
        picks.append(rng.choice(perturbed if k < n_perturbations else control, 250))
        labels.append(np.full(250, f"p{k:04d}", object))
    rows = np.concatenate(picks)
    names = np.array([f"g{i}" for i in range(len(counts))], object)
    screen = Screen(
        by_cell[rows], names, np.concatenate(labels), "control", batch[rows].astype(str).astype(object)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    fit_all(effect_comparisons(prepare(screen, EffectSettings(controls=None, min_cells=1))))
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"\n{n_perturbations} perturbations + {n_nulls} nulls of 250 cells, 2,000 shared controls, 10,000 genes")
    print(f"  {wall:.0f} s wall, {cpu:.0f} CPU s, {grown:,.0f} MB above the counts")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--full", action="store_true")
    full = parser.parse_args().full
    one_perturbation()
    where_time_goes()
    scaling()
    whole_screen(*((500, 500) if full else (20, 20)))


if __name__ == "__main__":
    main()
