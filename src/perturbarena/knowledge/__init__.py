"""What is known of a gene before any question about it is asked."""

from perturbarena.knowledge.answers import (
    Answer,
    Essentiality,
    Footprint,
    GeneName,
    Neighbour,
    Orthologue,
    Profile,
    Regulation,
    SetMembership,
    SignedPath,
    SourceRef,
    Summary,
)
from perturbarena.knowledge.build import BuildReport, Entered, build_store
from perturbarena.knowledge.coexpression import CellFeatures, cell_features, coexpression_features
from perturbarena.knowledge.collection import GeneSetCollection, annotation_features, read_collection
from perturbarena.knowledge.coverage import CoverageReport, Covered, coverage_of
from perturbarena.knowledge.elsewhere import Elsewhere, PairTable, read_elsewhere, read_screen
from perturbarena.knowledge.embeddings import (
    cell_embedding,
    expression_embedding,
    set_embedding,
    table_embedding,
    under_current_names,
)
from perturbarena.knowledge.expression import expression_features
from perturbarena.knowledge.features import GeneFeatures, read_features
from perturbarena.knowledge.folder import PAIR_BLOCKS, Block, FeatureBlocks, load_features
from perturbarena.knowledge.gene_sets import gene_set_features
from perturbarena.knowledge.lookup import KnowledgeBase, SourceRecord
from perturbarena.knowledge.orthologs import read_orthologs
from perturbarena.knowledge.paths import PathTable, Perturbation, implied_direction, read_paths
from perturbarena.knowledge.sources import Source, added_source, choose_sources, declared_sources

__all__ = [
    "PAIR_BLOCKS",
    "Answer",
    "Block",
    "BuildReport",
    "CellFeatures",
    "CoverageReport",
    "Covered",
    "Elsewhere",
    "Entered",
    "Essentiality",
    "FeatureBlocks",
    "Footprint",
    "GeneFeatures",
    "GeneName",
    "GeneSetCollection",
    "KnowledgeBase",
    "Neighbour",
    "Orthologue",
    "PairTable",
    "PathTable",
    "Perturbation",
    "Profile",
    "Regulation",
    "SetMembership",
    "SignedPath",
    "Source",
    "SourceRecord",
    "SourceRef",
    "Summary",
    "added_source",
    "annotation_features",
    "build_store",
    "cell_embedding",
    "cell_features",
    "choose_sources",
    "coexpression_features",
    "coverage_of",
    "declared_sources",
    "expression_embedding",
    "expression_features",
    "gene_set_features",
    "implied_direction",
    "load_features",
    "read_collection",
    "read_elsewhere",
    "read_features",
    "read_orthologs",
    "read_paths",
    "read_screen",
    "set_embedding",
    "table_embedding",
    "under_current_names",
]
