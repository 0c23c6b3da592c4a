"""Sampling designs: which pairs of a block of labels are asked."""

from perturbarena.benchmark.sampling.pairs import Pairs

__all__ = ["Pairs"]
