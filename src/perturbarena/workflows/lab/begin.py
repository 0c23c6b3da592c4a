"""Begin a campaign from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perturbarena.knowledge import load_features
from perturbarena.lab import (
    Campaign,
    CampaignSettings,
    Objective,
    create_campaign,
    read_candidates,
    read_graph,
    without_guides,
)
from perturbarena.workflows.lab.sources import candidate_features, file_hash, store_graph


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginPlan:
    """Files and settings of a new campaign; see ``lab init``."""

    root: Path
    candidates: Path
    objective: Objective
    settings: CampaignSettings
    knowledge: Path | None = None
    features: Path | None = None
    coexpression: Path | None = None
    graph: Path | None = None
    store: Path | None = None

    def inputs(self) -> dict[str, Any]:
        """Each file that is given, with its hash; of a knowledge folder the name alone."""
        files = {"candidates": self.candidates, "features": self.features, "coexpression": self.coexpression,
                 "graph": self.graph, "store": self.store}  # fmt: skip
        found: dict[str, Any] = {
            name: {"file": path.name, "sha256": file_hash(path)}
            for name, path in files.items()
            if path is not None
        }
        return found if self.knowledge is None else found | {"knowledge": {"folder": self.knowledge.name}}


def begin_campaign(plan: BeginPlan) -> tuple[Campaign, tuple[str, ...]]:
    """Make the folder; returned with notes in words. Without features only chance, proximity and models can
    choose.

    Raises
    ------
    InputError
        If a file is wrong or there is a campaign already; nothing is written then.
    """
    guides = read_candidates(plan.candidates)
    notes = [note] if (note := without_guides(guides)) else []
    blocks = ()
    if plan.knowledge or plan.features or plan.coexpression:
        found = load_features(knowledge=plan.knowledge, features=plan.features, coexpression=plan.coexpression)
        blocks = found.blocks
        notes += found.notes
    features = candidate_features(list(guides), blocks)
    unknown = int((~features.known).sum())
    if not features.blocks:
        notes.append("nothing is known of the candidates: strategies that learn will choose by chance")
    elif unknown:
        notes.append(
            f"without features: {unknown} of {len(features)} candidates; only the mean is predicted of them"
        )
    graph = None
    if plan.graph is not None:
        graph = read_graph(plan.graph)
    elif plan.store is not None:
        graph = store_graph(plan.store, list(guides))
    campaign = create_campaign(
        plan.root, guides=guides, features=features, objective=plan.objective, settings=plan.settings,
        graph=graph, inputs=plan.inputs(),
    )  # fmt: skip
    return campaign, tuple(notes)
