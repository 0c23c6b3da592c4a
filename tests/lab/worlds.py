"""A small world whose knockouts are alike in modules: measurements, features and effect tables without any
counts."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from perturbarena.lab import CandidateFeatures, Measurements, Objective

LAYER_OF = {"log2fc": "log2fc", "se_log2fc": "se", "log2fc_shrunk": "effect", "fdr": "fdr"}


class World(NamedTuple):
    """Everything there is to know: ``module`` (P,) of each knockout."""

    measured: Measurements
    features: CandidateFeatures
    objective: Objective
    module: np.ndarray


def world(*, seed: int = 0, knockouts: int = 60, genes: int = 80, modules: int = 4, noise: float = 0.2) -> World:
    """Knockouts of one module act alike; the programme is the first ten genes, which one module drives up."""
    rng = np.random.default_rng(seed)
    module = rng.integers(modules, size=knockouts)
    action = 0.6 * rng.normal(size=(modules, genes))
    action[:, :10] = np.array([0.9, -0.5, 0.0, -0.2])[:modules, None]
    effect = action[module] + noise * rng.normal(size=(knockouts, genes))
    names = np.array([f"Ko{i}" for i in range(knockouts)], object)
    symbols = np.array([f"G{i}" for i in range(genes)], object)
    se = np.full(effect.shape, 0.1)
    fdr = np.where(np.abs(effect) > 0.3, 0.001, 0.5)
    raw = np.eye(modules)[module] + 0.1 * rng.normal(size=(knockouts, modules))
    return World(
        Measurements(names, symbols, effect, effect.copy(), se, fdr),
        CandidateFeatures.of(names, {"modules": raw}),
        Objective.of("hits", {f"G{i}": 1.0 for i in range(10)}, hit_above=0.6),
        module,
    )


def effect_table(path: Path, measured: Measurements, *, failed: tuple[str, ...] = ()) -> Path:
    """As ``screen effects`` would write it; ``failed`` knockouts have NaN and a reason."""
    import anndata
    import pandas as pd

    from perturbarena.screen import write_effect_table

    lost = np.isin(measured.perturbations, failed)
    layers = {name: np.where(lost[:, None], np.nan, getattr(measured, own)) for name, own in LAYER_OF.items()}
    layers |= {"lfsr": layers["fdr"], "pvalue": layers["fdr"]}
    reason = np.where(lost, "too few cells: 3, at least 25 needed", "").astype(str)
    obs = pd.DataFrame({"reason": reason}, index=pd.Index(measured.perturbations.astype(str), name="perturbation"))
    var = pd.DataFrame(index=pd.Index(measured.genes.astype(str), name="gene"))
    write_effect_table(path, anndata.AnnData(X=None, obs=obs, var=var, layers=layers))
    return path


def features_table(path: Path, features: CandidateFeatures) -> Path:
    """The features as a CSV that ``--features`` reads."""
    rows = ["gene," + ",".join(f"f{j}" for j in range(features.matrix.shape[1]))]
    rows += [
        f"{n}," + ",".join(f"{x:.6f}" for x in row) for n, row in zip(features.names, features.matrix, strict=True)
    ]
    path.write_text("\n".join(rows) + "\n")
    return path
