"""Sampling designs: which pairs of a block of labels are asked."""

from perturbarena.benchmark.sampling.pairs import Pairs
from perturbarena.benchmark.sampling.published import PublishedDesign, draw_published

__all__ = ["Pairs", "PublishedDesign", "draw_published"]
