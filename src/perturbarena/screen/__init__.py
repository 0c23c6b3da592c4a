"""Perturb-seq counts → effects of every perturbation on every gene."""

from perturbarena.screen.check import ScreenCheck, check_screen
from perturbarena.screen.design import Design, design_screen
from perturbarena.screen.effects import EffectSettings, estimate_effects
from perturbarena.screen.features import GeneSelection, select_genes
from perturbarena.screen.null import NullCalibration
from perturbarena.screen.read import Screen, from_anndata, read_screen
from perturbarena.screen.simulate import (
    SimulatedScreen,
    SimulationSettings,
    simulate_screen,
    write_simulation,
)
from perturbarena.screen.table import read_effect_table, write_effect_table

__all__ = [
    "Design",
    "EffectSettings",
    "GeneSelection",
    "NullCalibration",
    "Screen",
    "ScreenCheck",
    "SimulatedScreen",
    "SimulationSettings",
    "check_screen",
    "design_screen",
    "estimate_effects",
    "from_anndata",
    "read_effect_table",
    "read_screen",
    "select_genes",
    "simulate_screen",
    "write_effect_table",
    "write_simulation",
]
