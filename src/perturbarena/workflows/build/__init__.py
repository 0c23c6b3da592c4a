"""Build a question set: from a screen or an effect table to files for entrants and sealed answers, in one go."""

from perturbarena.workflows.build.settings import DESIGNS, BuildSettings, load_settings, settings_toml
from perturbarena.workflows.build.source import ScreenColumns
from perturbarena.workflows.build.stages import BuildPlan, Built, Watch, build_benchmark

__all__ = [
    "DESIGNS",
    "BuildPlan",
    "BuildSettings",
    "Built",
    "ScreenColumns",
    "Watch",
    "build_benchmark",
    "load_settings",
    "settings_toml",
]
