"""Simulated Perturb-seq screens, whose true effects are known.

They let everything from counts to question sets be tried, and measured against the truth, without data. What is
drawn: a regulatory network (:mod:`perturbarena.screen.network`), guides of unequal efficiency, batches, depths,
cell states, and counts (:mod:`perturbarena.screen.sampling`). The truth is kept apart from the screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from pydantic import BaseModel, ConfigDict, Field

from perturbarena import __version__
from perturbarena.errors import InputError, MissingExtraError
from perturbarena.screen.network import Genes, Network, draw_genes, draw_network
from perturbarena.screen.sampling import BLOCK, CellPlan, Progress, draw_counts
from perturbarena.screen.symbols import gene_symbols
from perturbarena.screen.table import write_effect_table

if TYPE_CHECKING:
    from anndata import AnnData

CONTROL: Final = "control"
"""What ``obs["perturbation"]`` says of control cells."""
STRONG_GUIDE: Final = (12.0, 2.0)
WEAK_GUIDE: Final = (2.0, 6.0)
"""Beta distributions of a guide's efficiency: means 0.86 and 0.25."""

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, le=100.0)]


class SimulationSettings(BaseModel):
    """How a screen is simulated; the defaults give the size and the statistics of a published one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    perturbations: Annotated[int, Field(ge=1, le=100_000)] = 482
    """Knocked-out genes."""
    genes: Annotated[int, Field(ge=20, le=100_000)] = 10_000
    """Measured genes."""
    cells_per_perturbation: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Cells of each knocked-out gene, spread over its guides by chance."""
    control_cells: Annotated[int, Field(ge=20, le=10_000_000)] = 4000
    """Cells with a control guide."""
    guides: Annotated[int, Field(ge=1, le=50)] = 4
    """Guides of each knocked-out gene."""
    weak_guides: Share = 0.2
    """Chance that a guide is weak; one of each gene never is."""
    control_guides: Annotated[int, Field(ge=1, le=10_000)] = 40
    """Control guides."""
    batches: Annotated[int, Field(ge=1, le=1000)] = 4
    """Batches; cells fall into them by chance."""
    batch_spread: Annotated[float, Field(ge=0.0, le=2.0)] = 0.1
    """Standard deviation of a batch's effect on a gene, natural log."""
    modules: Annotated[int, Field(ge=2, le=1000)] = 20
    """Gene modules."""
    module_share: Annotated[float, Field(ge=0.0, le=0.8)] = 0.3
    """Share of an effect's variance that comes from the wiring of modules: what similar genes have in common."""
    state_spread: Annotated[float, Field(ge=0.0, le=2.0)] = 0.3
    """Standard deviation, over cells, of a module's activity, natural log: what makes genes co-expressed."""
    hub_spread: Annotated[float, Field(ge=0.0, le=3.0)] = 0.2
    """Standard deviation, over hubs and over other genes, of how readily a gene answers, natural log."""
    counts_per_gene: Positive = 0.4
    """Mean count a gene and cell, before depths and states vary, which adds about a sixth."""
    depth_spread: Annotated[float, Field(ge=0.0, le=2.0)] = 0.35
    """Standard deviation of a cell's depth, natural log."""
    expression_spread: Annotated[float, Field(ge=0.0, le=4.0)] = 2.0
    """Standard deviation of genes' expression, natural log."""
    dispersion: Positive = 0.2
    """Median overdispersion of the negative binomial."""
    ambient: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.05
    """Share of counts that come from ambient transcripts."""
    measured_share: Share = 0.8
    """Share of knocked-out genes that are among the measured genes."""
    knockdown: Annotated[float, Field(gt=0.0, le=10.0)] | None = 2.0
    """Log2 fall of the knocked-out gene's own transcript, where it is measured; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class SimulatedScreen:
    """A screen of n cells × G genes with P perturbations, and its truth.

    ``counts`` CSR int32 (n, G); ``perturbation``, ``guide``, ``batch`` str (n,), cells in no order; ``genes`` (G,)
    and ``perturbations`` (P,) names. ``log2fc`` (P, G) float32: the true log2 ratio of a perturbation's cells, as
    they got their guides, to controls, before ambient counts. ``guide_names`` with ``guide_efficiency``
    (P·guides,), guides of one gene side by side.
    """

    counts: sp.csr_matrix
    perturbation: np.ndarray
    guide: np.ndarray
    batch: np.ndarray
    genes: np.ndarray
    perturbations: np.ndarray
    log2fc: np.ndarray
    guide_names: np.ndarray
    guide_efficiency: np.ndarray
    truth_of_genes: Genes
    network: Network
    settings: SimulationSettings

    def to_anndata(self) -> AnnData:
        """What an experiment would show: counts, names, and ``obs`` perturbation, guide, batch. No truth."""
        columns = {"perturbation": self.perturbation, "guide": self.guide, "batch": self.batch}
        obs = pd.DataFrame(
            {name: pd.Categorical(values) for name, values in columns.items()},
            index=[f"cell{i}" for i in range(len(self.perturbation))],
        )
        return _anndata().AnnData(self.counts, obs=obs, var=pd.DataFrame(index=self.genes))

    def truth(self) -> AnnData:
        """P × G: layer ``log2fc``, and what is true of perturbations (obs), genes (var) and guides (uns)."""
        network, genes = self.network, self.truth_of_genes
        guides = self.guide_efficiency.reshape(len(self.perturbations), -1)
        obs = pd.DataFrame(
            {
                "module": network.module,
                "strength": network.strength,
                "expected_called": network.expected_called,
                "mean_efficiency": guides.mean(axis=1),
                "measured": np.isin(self.perturbations, self.genes),
            },
            index=pd.Index(self.perturbations, name="perturbation"),
        )
        var = pd.DataFrame(
            {
                "module": genes.modules[:, 0],
                "second_module": genes.modules[:, 1],
                "response": genes.response,
                "share": genes.share,
                "dispersion": genes.dispersion,
            },
            index=pd.Index(self.genes, name="gene"),
        )
        table = _anndata().AnnData(X=None, obs=obs, var=var, layers={"log2fc": self.log2fc})
        settings = {k: "none" if v is None else v for k, v in self.settings.model_dump().items()}
        table.uns["perturbarena"] = {"settings": settings, "version": __version__, "kind": "truth of a simulation"}
        table.uns["guides"] = pd.DataFrame(
            {"efficiency": self.guide_efficiency}, index=pd.Index(self.guide_names, name="guide")
        )
        return table


def simulate_screen(
    rng: np.random.Generator,
    settings: SimulationSettings | None = None,
    *,
    block: int = BLOCK,
    progress: Progress | None = None,
) -> SimulatedScreen:
    """Draw a screen. The same generator and settings give the same screen, whatever the ``block`` of cells.

    Raises
    ------
    InputError
        If the settings contradict each other, or leave no effect that could be called.
    """
    settings = settings or SimulationSettings()
    _check(settings)
    names_rng, network_rng, plan_rng, counts_rng = rng.spawn(4)
    names = _names(names_rng, settings)
    truth = draw_genes(network_rng, settings)
    efficiency = _efficiencies(plan_rng, settings)
    network = draw_network(
        network_rng, truth, own=names.own, efficiency=efficiency.mean(axis=1), settings=settings
    )
    plan = _plan(plan_rng, efficiency, settings)
    batch_effect = plan_rng.normal(0.0, settings.batch_spread, (settings.batches, settings.genes))
    counts = draw_counts(
        counts_rng,
        plan,
        genes=truth,
        log2fc=network.log2fc,
        batch_effect=batch_effect.astype(np.float32),
        settings=settings,
        block=block,
        progress=progress,
    )
    guide_names = np.array([f"{name}_{k + 1}" for name in names.perturbations for k in range(settings.guides)])
    control_names = np.array([f"non-targeting_{k + 1}" for k in range(settings.control_guides)])
    return SimulatedScreen(
        counts=counts,
        perturbation=np.append(names.perturbations, CONTROL)[plan.perturbation],
        guide=np.concatenate([guide_names, control_names])[plan.guide],
        batch=np.array([f"batch{b + 1}" for b in range(settings.batches)])[plan.batch],
        genes=names.genes,
        perturbations=names.perturbations,
        log2fc=_pooled(network.log2fc, plan.guide, efficiency),
        guide_names=guide_names,
        guide_efficiency=efficiency.ravel(),
        truth_of_genes=truth,
        network=network,
        settings=settings,
    )


def write_simulation(path: Path | str, screen: SimulatedScreen) -> Path:
    """Write the screen to ``path`` (.h5ad) and its truth beside it; returns the truth's path, ``*.truth.h5ad``.

    Raises
    ------
    InputError
        If the name does not end in .h5ad, or the folder cannot be written.
    """
    path = check_simulation_path(path)
    truth = path.with_suffix(".truth.h5ad")
    write_effect_table(truth, screen.truth())
    write_effect_table(path, screen.to_anndata())
    return truth


def check_simulation_path(path: Path | str) -> Path:
    """The path, if it names an ``.h5ad``."""
    path = Path(path)
    if path.suffix != ".h5ad":
        raise InputError(f"a simulated screen's name ends in .h5ad; got {path.name}")
    return path


class _Names(NamedTuple):
    """Names of G genes and P knocked-out genes; ``own`` (P,): where the latter stand among the former, or −1."""

    genes: np.ndarray
    perturbations: np.ndarray
    own: np.ndarray


def _check(settings: SimulationSettings) -> None:
    if settings.control_guides > settings.control_cells:
        raise InputError(
            f"{settings.control_guides} control guides need at least as many control cells; "
            f"got {settings.control_cells}"
        )
    if settings.modules > settings.genes:
        raise InputError(f"{settings.modules} modules need at least as many genes; got {settings.genes}")
    measured = round(settings.measured_share * settings.perturbations)
    if measured > settings.genes:
        raise InputError(
            f"{measured} knocked-out genes cannot be among {settings.genes} measured genes; "
            "lower measured_share or take more genes"
        )


def _names(rng: np.random.Generator, settings: SimulationSettings) -> _Names:
    """Names of measured and of knocked-out genes, which overlap."""
    n_measured = round(settings.measured_share * settings.perturbations)
    n_outside = settings.perturbations - n_measured
    symbols = gene_symbols(rng, settings.genes + n_outside)
    genes = symbols[: settings.genes]
    own = np.r_[rng.choice(settings.genes, n_measured, replace=False), np.full(n_outside, -1)]
    perturbations = np.r_[genes[own[:n_measured]], symbols[settings.genes :]]
    order = np.argsort(perturbations)
    return _Names(genes, perturbations[order], own[order])


def _efficiencies(rng: np.random.Generator, settings: SimulationSettings) -> np.ndarray:
    """Efficiency of each guide, shape (P, guides)."""
    shape = (settings.perturbations, settings.guides)
    weak = rng.random(shape) < settings.weak_guides
    weak[np.arange(shape[0]), rng.integers(settings.guides, size=shape[0])] = False
    return np.where(weak, rng.beta(*WEAK_GUIDE, size=shape), rng.beta(*STRONG_GUIDE, size=shape))


def _plan(rng: np.random.Generator, efficiency: np.ndarray, settings: SimulationSettings) -> CellPlan:
    """What is done to each cell; cells stand in no order."""
    n_perturbed = settings.perturbations * settings.cells_per_perturbation
    knocked = np.repeat(np.arange(settings.perturbations), settings.cells_per_perturbation)
    guide = knocked * settings.guides + rng.integers(settings.guides, size=n_perturbed)
    at_least_one = np.arange(settings.control_cells) % settings.control_guides
    n = n_perturbed + settings.control_cells
    order = rng.permutation(n)
    knocked = np.r_[knocked, np.full(settings.control_cells, -1)][order]
    guide = np.r_[guide, efficiency.size + at_least_one][order]
    works = np.append(efficiency.ravel(), np.zeros(settings.control_guides))[guide]
    batch = rng.integers(settings.batches, size=n)
    batch_depth = rng.lognormal(0.0, settings.batch_spread, settings.batches)
    depth = rng.lognormal(0.0, settings.depth_spread, n) * batch_depth[batch]
    return CellPlan(
        perturbation=knocked,
        guide=guide,
        efficiency=works.astype(np.float32),
        batch=batch,
        depth=(depth * settings.counts_per_gene * settings.genes).astype(np.float32),
        state=rng.normal(0.0, settings.state_spread, (n, settings.modules)).astype(np.float32),
    )


def _pooled(log2fc: np.ndarray, guide: np.ndarray, efficiency: np.ndarray) -> np.ndarray:
    """Log2 of the mean fold change over each perturbation's cells, shape (P, G) float32."""
    cells = np.bincount(guide, minlength=efficiency.size)[: efficiency.size].reshape(efficiency.shape)
    weight = cells / cells.sum(axis=1, keepdims=True)
    pooled = np.empty_like(log2fc)
    for p, row in enumerate(log2fc.astype(np.float64)):
        pooled[p] = np.log2(weight[p] @ np.exp2(efficiency[p][:, None] * row))
    return pooled


def _anndata() -> Any:
    try:
        import anndata
    except ImportError as error:
        raise MissingExtraError("simulated screens need anndata: pip install 'perturbarena[screen]'") from error
    return anndata
