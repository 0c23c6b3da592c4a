"""The loop: which knockouts next, what came of them, and whether choosing so would have helped."""

from perturbarena.lab.acquisition import Pick, Strategy, strategies, strategy_named
from perturbarena.lab.campaign import (
    Campaign,
    CampaignSettings,
    checked_settings,
    create_campaign,
    read_candidates,
    without_guides,
)
from perturbarena.lab.comparison import Fared, fared
from perturbarena.lab.features import CandidateFeatures
from perturbarena.lab.graph import GeneGraph, read_graph
from perturbarena.lab.history import History, RoundRecord
from perturbarena.lab.hypotheses import Hypothesis, Move, Settled, by_chance, settle
from perturbarena.lab.measurements import Measurements
from perturbarena.lab.objectives import Objective
from perturbarena.lab.oracle import HiddenScreen, Oracle
from perturbarena.lab.plate import plate_table
from perturbarena.lab.proposal import Proposal, Proposed, propose
from perturbarena.lab.retrospective import CONTROLS, Game, Played, play
from perturbarena.lab.rounds import (
    Arrived,
    Expectation,
    Surprise,
    check_arrival,
    check_genes,
    settle_all,
    surprises,
)
from perturbarena.lab.situation import Situation, assess
from perturbarena.lab.surrogate import Surrogate, fit_surrogate

__all__ = [
    "CONTROLS",
    "Arrived",
    "Campaign",
    "CampaignSettings",
    "CandidateFeatures",
    "Expectation",
    "Fared",
    "Game",
    "GeneGraph",
    "HiddenScreen",
    "History",
    "Hypothesis",
    "Measurements",
    "Move",
    "Objective",
    "Oracle",
    "Pick",
    "Played",
    "Proposal",
    "Proposed",
    "RoundRecord",
    "Settled",
    "Situation",
    "Strategy",
    "Surprise",
    "Surrogate",
    "assess",
    "by_chance",
    "check_arrival",
    "check_genes",
    "checked_settings",
    "create_campaign",
    "fared",
    "fit_surrogate",
    "plate_table",
    "play",
    "propose",
    "read_candidates",
    "read_graph",
    "settle",
    "settle_all",
    "strategies",
    "strategy_named",
    "surprises",
    "without_guides",
]
