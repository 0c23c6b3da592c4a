"""Time of point-normal shrinkage beside R's ebnm.

Run: python benchmarks/bench_shrinkage.py [--threads 2] [--repeats 5]
Input: effects of which 8 % are drawn from N(0, 0.7²) and the rest are 0, with log-normal standard errors; the same
numbers as those that the recorded fits of ebnm saw. ebnm itself is run where R has it; nothing is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from perturbarena.stats import shrinkage

SIZES = {"1e4": 10_000, "1e6": 1_000_000, "5e6": 5_000_000}
FITS = Path(__file__).parents[1] / "tests" / "golden" / "effects" / "ebnm" / "fits.json"
R_CODE = """
library(ebnm)
a <- commandArgs(TRUE)
m <- matrix(readBin(a[1], "double", 2 * as.numeric(a[2])), ncol = 2, byrow = TRUE)
x <- m[, 1]; s <- m[, 2]
t <- system.time(f <- ebnm(x, s, prior_family = "point_normal"))["elapsed"]
cat(t, f$fitted_g$pi[1], f$fitted_g$sd[2], as.numeric(f$log_likelihood))
"""


def simulate() -> dict[str, np.ndarray]:
    """Effects and standard errors, shape (n, 2) each."""
    rng = np.random.Generator(np.random.PCG64(31))
    data = {}
    for tag, n in SIZES.items():
        s = np.exp(rng.normal(-1.0, 0.8, n))
        moved = rng.random(n) < 0.08
        data[tag] = np.c_[np.where(moved, rng.normal(0, 0.7, n), 0.0) + s * rng.standard_normal(n), s]
    return data


def timed(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median wall time and median CPU time, s."""
    wall, cpu = [], []
    for _ in range(repeats):
        start, start_cpu = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return float(np.median(wall)), float(np.median(cpu))


def ebnm_installed() -> bool:
    if shutil.which("Rscript") is None:
        return False
    return subprocess.run(["Rscript", "-e", "library(ebnm)"], capture_output=True, check=False).returncode == 0


def run_ebnm(table: np.ndarray) -> list[float]:
    """Seconds, π₀, scale, log-likelihood."""
    with tempfile.TemporaryDirectory() as folder:
        data, script = Path(folder) / "data.f64", Path(folder) / "run.R"
        table.astype("<f8").tofile(data)
        script.write_text(R_CODE)
        done = subprocess.run(
            ["Rscript", script, data, str(len(table))], capture_output=True, text=True, check=True
        )
    return [float(word) for word in done.stdout.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    recorded = json.loads(FITS.read_text())["fits"]
    with_r = ebnm_installed()
    start = time.perf_counter()
    for n in (100, 200_000):  # both ways through the fit
        shrinkage.point_normal(np.linspace(-3, 3, n) ** 3, 1.0)
    print(f"first calls, with loading or compiling the kernels: {time.perf_counter() - start:.2f} s")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print(
        "effects  threads   fit, s (CPU)   posterior, s (CPU)   ebnm, s  ratio   Δπ₀/π₀   Δτ/τ   log-lik. gained"
    )
    for tag, table in simulate().items():
        x, s = np.ascontiguousarray(table[:, 0]), np.ascontiguousarray(table[:, 1])
        reference = recorded[f"{tag} default"]
        r = [reference[k] for k in ("seconds", "pi0", "scale", "log_likelihood")]
        if with_r:
            r = run_ebnm(table)
        for threads in sorted({1, options.threads}):
            prior = shrinkage.fit_point_normal(x, s, threads=threads)
            fit = timed(lambda x=x, s=s, t=threads: shrinkage.fit_point_normal(x, s, threads=t), options.repeats)
            post = timed(
                lambda x=x, s=s, t=threads, p=prior: shrinkage.posterior(p, x, s, threads=t), options.repeats
            )
            print(
                f"{tag:>7} {threads:>8} {fit[0]:>8.3f} ({fit[1]:.2f}) {post[0]:>14.3f} ({post[1]:.2f}) "
                f"{r[0]:>9.3f} "
                f"{r[0] / (fit[0] + post[0]):>6.1f} {prior.pi0 / r[1] - 1:>8.0e} {prior.scale / r[2] - 1:>7.0e} "
                f"{prior.log_likelihood - r[3]:>10.0e}"
            )
    if with_r:
        print("\nebnm ran here, in the same run; its time includes its posterior.")
    else:
        print("\nR's ebnm is not installed here: its column was recorded with the golden numbers (ebnm 1.1,")
        print("R 4.2; fit and posterior together), not in this run. The ratio is to fit and posterior together.")


if __name__ == "__main__":
    main()
