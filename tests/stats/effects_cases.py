"""Simulated screens, those with glmGamPoi's answers and new ones, shared by the tests of effect estimates."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from perturbarena.stats import nb_dense, nb_glm
from perturbarena.stats.size_factors import normed_sum

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "effects"
PUBLISHED = (
    "small",
    "real",
    "null2k",
    "multi_p0",
    "edge_zeros",
    "edge_ctrlonly_batch",
    "edge_huge",
    "edge_onebatch",
    "edge_poisson",
    "edge_zerocells",
)
ADDED = ("edge_60genes", "edge_1cell", "edge_5cells")


@dataclass(frozen=True)
class Screen:
    """Counts (genes × cells), 1 for perturbed cells, batch number, size factor."""

    counts: np.ndarray
    pert: np.ndarray
    batch: np.ndarray
    size_factor: np.ndarray
    covariate: np.ndarray | None = None

    def design(self) -> np.ndarray:
        """Intercept, perturbed, all batches but the first, covariate."""
        columns = [np.ones(len(self.pert)), self.pert]
        columns += [self.batch == b for b in np.unique(self.batch)[1:]]
        if self.covariate is not None:
            columns.append(self.covariate)
        return np.column_stack(columns).astype(np.float64)

    def fit_grouped(self) -> nb_glm.PerturbationFit:
        return nb_glm.fit_perturbation(*sides(self), mean_size_factor=self.size_factor.mean())

    def fit_dense(self, *, tested=1) -> nb_glm.PerturbationFit:
        counts = sparse.csc_array(self.counts.T)
        return nb_dense.fit_design(counts, self.design(), tested=tested, size_factor=self.size_factor)


@dataclass(frozen=True)
class Golden(Screen):
    """A screen with the reference's answers for each gene and its F test's denominator degrees of freedom."""

    genes: pd.DataFrame | None = None
    df2: float = np.nan

    @property
    def log2fc(self) -> np.ndarray:
        return np.clip(self.genes["lfc"].to_numpy(), -nb_glm.MAX_LOG2FC, nb_glm.MAX_LOG2FC)


@cache
def load_golden(name: str) -> Golden:
    with np.load(GOLDEN / f"{name}.npz") as file:
        shape = tuple(file["shape"])
        counts = np.zeros(shape, np.int32)
        counts.ravel()[np.unpackbits(file["nzmask"], count=counts.size).astype(bool)] = file["nzval"]
        digest = hashlib.sha256(np.ascontiguousarray(counts.astype("<i4")).tobytes()).hexdigest()
        assert digest == str(file["sha256"])
        return Golden(
            counts,
            file["pert"].astype(int),
            file["batch"].astype(int),
            normed_sum(counts.sum(0)),
            file.get("covariate"),
            genes=pd.read_csv(GOLDEN / f"{name}_genes.csv.gz"),
            df2=json.loads((GOLDEN / f"{name}_meta.json").read_text())["df2"],
        )


@cache
def fit_golden(name: str) -> nb_glm.PerturbationFit:
    return load_golden(name).fit_grouped()


def sides(screen: Screen) -> tuple[nb_glm.Side, nb_glm.Side]:
    """Control and perturbed cells in compressed form; a batch without controls goes to the controls."""
    n_genes, n_batches = len(screen.counts), screen.batch.max() + 1
    with_controls = np.isin(screen.batch, screen.batch[screen.pert == 0])
    out = []
    for kind in (0, 1):
        cells = np.flatnonzero((screen.pert * with_controls) == kind)
        cells = cells[np.argsort(screen.batch[cells], kind="stable")]
        gene, cell = np.nonzero(screen.counts[:, cells])
        batch = screen.batch[cells]
        in_group = np.zeros((n_genes, n_batches), np.int64)
        np.add.at(in_group, (gene, batch[cell]), 1)
        ends = np.cumsum(in_group.ravel()).reshape(n_genes, n_batches)
        start = np.column_stack([np.r_[0, ends[:-1, -1]], ends])
        out.append(
            nb_glm.side(
                screen.counts[:, cells][gene, cell],
                cell,
                start,
                screen.size_factor[cells],
                np.searchsorted(batch, np.arange(n_batches + 1)),
            )
        )
    return tuple(out)


def simulate(rng, *, genes, perturbed, controls, batches=1, log2fc=0.0, mean=(0.02, 20.0), theta=0.5):
    """Negative-binomial counts with batch effects; ``log2fc`` and ``theta`` a number or one for each gene."""
    n = perturbed + controls
    pert = np.repeat([1, 0], [perturbed, controls])
    batch = rng.integers(0, batches, n)
    size = np.exp(rng.normal(0.0, 0.35, n))
    level = np.exp(rng.uniform(*np.log(mean), genes))[:, None]
    shift = rng.normal(0.0, 0.15, (genes, batches))[:, batch]
    mu = level * size * np.exp(shift) * 2.0 ** (np.broadcast_to(log2fc, genes)[:, None] * pert)
    theta = np.broadcast_to(theta, genes)[:, None]
    rate = np.where(theta > 0, rng.gamma(1 / np.maximum(theta, 1e-9), mu * np.maximum(theta, 1e-9)), mu)
    return Screen(rng.poisson(rate), pert, batch, size / np.exp(np.log(size).mean()))
