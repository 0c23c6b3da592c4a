"""What is known of a gene before any question about it is asked."""

from perturbarena.knowledge.coexpression import CellFeatures, cell_features, coexpression_features
from perturbarena.knowledge.collection import GeneSetCollection, annotation_features, read_collection
from perturbarena.knowledge.elsewhere import Elsewhere, PairTable, read_elsewhere, read_screen
from perturbarena.knowledge.expression import expression_features
from perturbarena.knowledge.features import GeneFeatures, read_features
from perturbarena.knowledge.folder import Block, FeatureBlocks, load_features
from perturbarena.knowledge.gene_sets import gene_set_features
from perturbarena.knowledge.orthologs import read_orthologs

__all__ = [
    "Block",
    "CellFeatures",
    "Elsewhere",
    "FeatureBlocks",
    "GeneFeatures",
    "GeneSetCollection",
    "PairTable",
    "annotation_features",
    "cell_features",
    "coexpression_features",
    "expression_features",
    "gene_set_features",
    "load_features",
    "read_collection",
    "read_elsewhere",
    "read_features",
    "read_orthologs",
    "read_screen",
]
