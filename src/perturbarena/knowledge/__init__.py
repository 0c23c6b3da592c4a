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
from perturbarena.knowledge.coexpression import coexpression_features
from perturbarena.knowledge.coverage import CoverageReport, Covered, coverage_of
from perturbarena.knowledge.embeddings import (
    cell_embedding,
    expression_embedding,
    set_embedding,
    table_embedding,
    under_current_names,
)
from perturbarena.knowledge.expression import expression_features
from perturbarena.knowledge.features import GeneFeatures, read_features
from perturbarena.knowledge.folder import FeatureBlocks, load_features
from perturbarena.knowledge.gene_sets import gene_set_features
from perturbarena.knowledge.lookup import KnowledgeBase, SourceRecord
from perturbarena.knowledge.sources import Source, added_source, choose_sources, declared_sources

__all__ = [
    "Answer",
    "BuildReport",
    "CoverageReport",
    "Covered",
    "Entered",
    "Essentiality",
    "FeatureBlocks",
    "Footprint",
    "GeneFeatures",
    "GeneName",
    "KnowledgeBase",
    "Neighbour",
    "Orthologue",
    "Profile",
    "Regulation",
    "SetMembership",
    "SignedPath",
    "Source",
    "SourceRecord",
    "SourceRef",
    "Summary",
    "added_source",
    "build_store",
    "cell_embedding",
    "choose_sources",
    "coexpression_features",
    "coverage_of",
    "declared_sources",
    "expression_embedding",
    "expression_features",
    "gene_set_features",
    "load_features",
    "read_features",
    "set_embedding",
    "table_embedding",
    "under_current_names",
]
