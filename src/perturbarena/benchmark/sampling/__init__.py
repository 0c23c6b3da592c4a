"""Sampling designs: which pairs of a block of labels are asked."""

from perturbarena.benchmark.sampling.fair import FairDesign, draw_fair
from perturbarena.benchmark.sampling.pairs import Pairs

__all__ = ["FairDesign", "Pairs", "draw_fair"]
