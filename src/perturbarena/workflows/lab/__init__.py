"""Campaigns: begin, propose, ingest, watch, report; and campaigns played in retrospect."""

from perturbarena.workflows.lab.begin import BeginPlan, begin_campaign
from perturbarena.workflows.lab.ingest import Ingested, ingest_results
from perturbarena.workflows.lab.propose import Ordered, ProposePlan, propose_round

__all__ = [
    "BeginPlan",
    "Ingested",
    "Ordered",
    "ProposePlan",
    "begin_campaign",
    "ingest_results",
    "propose_round",
]
