"""Ways to choose the next knockouts, one small file each behind one interface."""

from perturbarena.lab.acquisition.catalogue import strategies, strategy_named
from perturbarena.lab.acquisition.mixtures import mixture
from perturbarena.lab.acquisition.strategy import Pick, Strategy

__all__ = ["Pick", "Strategy", "mixture", "strategies", "strategy_named"]
