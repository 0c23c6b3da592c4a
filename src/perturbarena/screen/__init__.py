"""Perturb-seq counts → effects of every perturbation on every gene."""

from perturbarena.screen.read import Screen, from_anndata, read_screen

__all__ = ["Screen", "from_anndata", "read_screen"]
