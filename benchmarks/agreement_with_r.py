"""Largest differences between these effect estimates and glmGamPoi's on every golden screen.

Run: python benchmarks/agreement_with_r.py
Compares with the stored answers of glmGamPoi 1.15.4 in tests/golden/effects; R is not needed. log2FC is compared
where |log2FC| < 10. "theta" counts genes whose overdispersion differs by more than 0.1 %: there the reference
stopped short of its own optimum, as tests/stats/test_nb_glm.py shows from the likelihood.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.stats.effects_cases import ADDED, PUBLISHED, Golden, load_golden  # noqa: E402

from perturbarena.stats.nb_glm import MAX_LOG2FC, PerturbationFit  # noqa: E402

HEADER = (
    f"{'':25}{'':>7}{'|Δ log2FC|':^18}{'|Δ log10 p|':^18}{'df2':>9}{'significant':>13}{'at clip':>13}\n"
    f"{'screen':25}{'genes':>7}{'99 %':>9}{'worst':>9}{'99 %':>9}{'worst':>9}{'rel.':>9}"
    f"{'both':>7}{'one':>6}{'both':>7}{'one':>6}{'theta':>7}"
)


def row(name: str, golden: Golden, fit: PerturbationFit) -> str:
    finite = np.abs(golden.log2fc) < MAX_LOG2FC
    log2fc = np.abs(fit.log2fc - golden.log2fc)[finite]
    log10p = np.abs(np.log10(fit.pvalue / golden.genes["pval"].to_numpy()))
    theta = golden.genes["overdispersion"].to_numpy()
    counts = []
    for ours, theirs in (
        (fit.fdr < 0.05, golden.genes["adj_pval"].to_numpy() < 0.05),
        (np.abs(fit.log2fc) == MAX_LOG2FC, ~finite),
    ):
        counts += [(ours & theirs).sum(), (ours != theirs).sum()]
    off = (np.abs(fit.theta - theta) > 1e-3 * np.maximum(fit.theta, theta)).sum()
    numbers = [np.quantile(log2fc, 0.99), log2fc.max(), np.quantile(log10p, 0.99), log10p.max()]
    numbers.append(abs(fit.df2 / golden.df2 - 1))
    return (
        f"{name:25}{len(golden.counts):>7,}"
        + "".join(f"{x:>9.1e}" for x in numbers)
        + f"{counts[0]:>7,}{counts[1]:>6}{counts[2]:>7,}{counts[3]:>6}{off:>7,}"
    )


def main() -> None:
    print(HEADER)
    for name in (*PUBLISHED, *ADDED):
        golden = load_golden(name)
        print(row(name, golden, golden.fit_grouped()))
    print("\ncell by cell (any design)")
    for name in ("covariate", "small", *ADDED):
        golden = load_golden(name)
        print(row(name, golden, golden.fit_dense()))


if __name__ == "__main__":
    main()
