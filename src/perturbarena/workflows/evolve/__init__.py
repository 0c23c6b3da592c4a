"""A prompt that improves itself by its mistakes, and is believed only on rows that it never saw."""

from perturbarena.workflows.evolve.answers import Answers, Asker, BudgetSpentError
from perturbarena.workflows.evolve.candidate import Candidate
from perturbarena.workflows.evolve.confirmation import Confirmation, confirm
from perturbarena.workflows.evolve.folder import evolve_in, held, write_evolved
from perturbarena.workflows.evolve.history import History, Trial
from perturbarena.workflows.evolve.models import Askers, model_askers, reflecting
from perturbarena.workflows.evolve.pareto import pareto_front
from perturbarena.workflows.evolve.refusal import Guard
from perturbarena.workflows.evolve.rows import Parts, deal_parts
from perturbarena.workflows.evolve.run import Evolved, EvolvePlan, Limits, evolve
from perturbarena.workflows.evolve.shares import Shares, row_shares
from perturbarena.workflows.evolve.stand_in import planted_asker, proposing_asker

__all__ = [
    "Answers",
    "Asker",
    "Askers",
    "BudgetSpentError",
    "Candidate",
    "Confirmation",
    "EvolvePlan",
    "Evolved",
    "Guard",
    "History",
    "Limits",
    "Parts",
    "Shares",
    "Trial",
    "confirm",
    "deal_parts",
    "evolve",
    "evolve_in",
    "held",
    "model_askers",
    "pareto_front",
    "planted_asker",
    "proposing_asker",
    "reflecting",
    "row_shares",
    "write_evolved",
]
