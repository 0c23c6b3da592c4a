"""Labels made up for tests: hubs that answer to many perturbations, weak and strong perturbations."""

from __future__ import annotations

import numpy as np

from perturbarena.benchmark.labels import CALL_DOWN, CALL_NONE, CALL_UP, NOT_ASKED, Labels


def made_up_labels(rng: np.random.Generator, *, n_perts: int = 60, n_genes: int = 600, own: int = 20) -> Labels:
    """Perturbations P0 … of unequal strength; ``own`` of them are measured genes as well."""
    strength = rng.lognormal(0.0, 1.0, n_perts)[:, None] * 0.1
    hub = rng.lognormal(0.0, 1.0, n_genes)[None, :]
    moved = rng.random((n_perts, n_genes)) < np.minimum(strength * hub, 0.7)
    up = rng.random((n_perts, n_genes)) < rng.beta(4, 2, n_genes)
    call = np.where(moved, np.where(up, CALL_UP, CALL_DOWN), CALL_NONE).astype(np.int8)
    call[rng.random(call.shape) < 0.05] = NOT_ASKED
    perts = np.array([f"P{i}" for i in range(n_perts)], object)
    genes = np.array([f"P{i}" if i < own else f"G{i}" for i in range(n_genes)], object)
    call[perts[:, None] == genes[None, :]] = NOT_ASKED
    log2fc = np.where(np.abs(call) == 1, call * rng.uniform(0.6, 3.0, call.shape), rng.normal(0, 0.05, call.shape))
    fdr = np.where(np.abs(call) == 1, rng.uniform(0, 0.049, call.shape), rng.uniform(0.05, 1, call.shape))
    return Labels(perts, genes, call, log2fc, fdr, {})
