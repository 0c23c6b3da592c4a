"""What is known of a gene before any question about it is asked."""

from perturbarena.knowledge.coexpression import coexpression_features
from perturbarena.knowledge.expression import expression_features
from perturbarena.knowledge.features import GeneFeatures, read_features
from perturbarena.knowledge.folder import FeatureBlocks, load_features
from perturbarena.knowledge.gene_sets import gene_set_features

__all__ = [
    "FeatureBlocks",
    "GeneFeatures",
    "coexpression_features",
    "expression_features",
    "gene_set_features",
    "load_features",
    "read_features",
]
