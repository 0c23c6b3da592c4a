"""A round that comes back as counts goes through the screen's own estimates; guides that are in no cell are
named."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.lab import CampaignSettings, Game, Objective
from perturbarena.screen import SimulationSettings, estimate_effects, simulate_screen
from perturbarena.workflows.lab import BeginPlan, ProposePlan, begin_campaign, ingest_results, propose_round
from perturbarena.workflows.lab.simulate import HidePlan, SimulationPlan, hide_screen, simulate_campaigns
from perturbarena.workflows.lab.sources import measurements_of


@pytest.fixture(scope="module")
def screen():
    settings = SimulationSettings(
        perturbations=30, genes=100, cells_per_perturbation=100, control_cells=400, control_guides=5, modules=3,
        module_share=0.7, counts_per_gene=4.0, measured_share=1.0,
    )  # fmt: skip
    return simulate_screen(np.random.default_rng(0), settings)


def test_counts_of_a_round_are_estimated_checked_and_kept(screen, tmp_path):
    guides = tmp_path / "genes.csv"
    names = sorted(set(screen.guide_names))
    guides.write_text("gene,guide\n" + "".join(f"{n.rsplit('_', 1)[0]},{n}\n" for n in names))
    cells = screen.to_anndata()
    control = (cells.obs["perturbation"] == "control").to_numpy()
    cells[control].copy().write_h5ad(tmp_path / "controls.h5ad")
    plan = BeginPlan(
        root=tmp_path / "C", candidates=guides, objective=Objective.of("everything", {}),
        settings=CampaignSettings(batch=8), coexpression=tmp_path / "controls.h5ad",
    )  # fmt: skip
    begin_campaign(plan)
    ordered = [p.name for p in propose_round(plan.root, ProposePlan(strategy="diversity")).picks]
    lost_guide = f"{ordered[0]}_1"
    keep = control | cells.obs["perturbation"].isin(ordered).to_numpy()
    keep &= (cells.obs["guide"] != lost_guide).to_numpy()
    few = np.flatnonzero((cells.obs["perturbation"] == ordered[1]).to_numpy())
    keep[few[5:]] = False
    part = cells[keep].copy()
    part.write_h5ad(tmp_path / "round1.h5ad")
    came = ingest_results(plan.root, tmp_path / "round1.h5ad")
    assert ordered[1] in came.arrived.failed
    assert lost_guide in (came.arrived.guides_missing or ())
    assert f"{lost_guide}" in " ".join(came.arrived.sentences())
    wanted = measurements_of(estimate_effects(part, guide="guide"))
    from perturbarena.lab import Campaign, History

    kept = History.of(Campaign.open(plan.root)).measured
    np.testing.assert_allclose(kept.effect, wanted.rows(kept.perturbations).effect, atol=1e-6)
    assert not (plan.root / "work").exists()


def test_a_screen_of_counts_can_be_hidden_and_played(screen, tmp_path):
    cells = screen.to_anndata()
    cells.write_h5ad(tmp_path / "screen.h5ad")
    control = (cells.obs["perturbation"] == "control").to_numpy()
    cells[control].copy().write_h5ad(tmp_path / "controls.h5ad")
    hidden = hide_screen(
        HidePlan(
            path=tmp_path / "screen.h5ad", objective=Objective.of("everything", {}),
            coexpression=tmp_path / "controls.h5ad",
        )
    )  # fmt: skip
    plan = SimulationPlan(seeds=2, game=Game(start=5, rounds=2, batch=4, hit_share=0.2), workers=1)
    found = simulate_campaigns([hidden], plan)
    assert {one.strategy for one in found.fared} >= {"random", "hit", "ucb", "uncertainty", "diversity"}
    assert len(found.played) == len({one.strategy for one in found.fared}) * 3 * 2
    assert any("graph left out" in note for note in found.notes)
    assert any("llm left out" in note for note in found.notes)
