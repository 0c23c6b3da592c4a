"""A small screen with known effects, for tests of the screen room."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp


def small_screen(
    seed: int = 0, *, n_genes: int = 150, perturbations: tuple[str, ...] = ("A", "B", "C"), cells: int = 60
) -> ad.AnnData:
    """300 controls of 8 guides and ``cells`` cells a perturbation in 2 batches; gene 0 falls fourfold in A."""
    rng = np.random.default_rng(seed)
    label = np.repeat(["control", *perturbations], [300] + [cells] * len(perturbations))
    guide = np.where(label == "control", np.char.add("nt", rng.integers(8, size=len(label)).astype(str)), label)
    batch = rng.integers(2, size=len(label))
    mean = np.exp(rng.normal(0.0, 1.0, n_genes))
    mean[0] = 3.0
    mu = np.exp(rng.normal(0, 0.3, len(label)))[:, None] * mean * np.exp(0.2 * batch[:, None])
    mu[label == "A", 0] /= 4
    counts = rng.poisson(rng.gamma(1 / 0.3, 0.3 * mu)).astype(np.int32)
    obs = pd.DataFrame(
        {"pert": label, "guide": guide, "batch": np.char.add("b", batch.astype(str))},
        index=[f"cell{i}" for i in range(len(label))],
    )
    return ad.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))
