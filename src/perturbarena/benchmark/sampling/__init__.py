"""Sampling designs: which pairs of a block of labels are asked."""

from perturbarena.benchmark.sampling.fair import FairDesign, draw_fair, draw_fair_together
from perturbarena.benchmark.sampling.pairs import Pairs
from perturbarena.benchmark.sampling.published import PublishedDesign, draw_published

__all__ = ["FairDesign", "Pairs", "PublishedDesign", "draw_fair", "draw_fair_together", "draw_published"]
