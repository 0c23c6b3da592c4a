"""A simulated screen that is quickly built, and a build to call; for tests of the build."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from perturbarena.screen import SimulationSettings, simulate_screen, write_simulation
from perturbarena.workflows.build import BuildPlan, BuildSettings, load_settings

N_NULLS = 20


def write_screen(path: Path, seed: int = 5) -> Path:
    """40 perturbations × 800 genes, 30 cells each."""
    settings = SimulationSettings(
        perturbations=40, genes=800, cells_per_perturbation=30, control_cells=500, counts_per_gene=1.0
    )
    write_simulation(path, simulate_screen(np.random.default_rng(seed), settings))
    return path


def quick_settings(design: str = "fair") -> BuildSettings:
    """Few nulls; small hidden splits get enough perturbations to say something."""
    settings = load_settings(design, nulls=N_NULLS)
    splits = settings.splits.model_copy(update={"perturbations": (0.5, 0.25, 0.25), "draws": 20})
    return settings.model_copy(update={"splits": splits})


def plan_of(source: Path, folder: Path, settings: BuildSettings | None = None, seed: int = 1) -> BuildPlan:
    """Into ``bench`` and ``truth`` below a folder."""
    return BuildPlan(
        source=source,
        bench=folder / "bench",
        truth=folder / "truth",
        settings=settings or quick_settings(),
        seed=seed,
    )


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
