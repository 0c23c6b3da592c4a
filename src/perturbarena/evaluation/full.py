"""The whole account of one file of answers: the score, and everything that can be given beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perturbarena.challenge.rules import Challenge
from perturbarena.evaluation.detail import Detail, detail
from perturbarena.evaluation.files import Answered
from perturbarena.evaluation.metric import N_RESAMPLES
from perturbarena.evaluation.seeds import SeedSpread, seed_spread
from perturbarena.evaluation.strata import Strata, score_strata


@dataclass(frozen=True, slots=True)
class FullAccount:
    """Further measures; scores by stratum where a table was given; spread of seeds where there are several."""

    detail: Detail
    strata: Strata | None
    seeds: SeedSpread | None

    def as_json(self) -> dict[str, Any]:
        """Plain values under keys that are always there."""
        strata = {"strata": [], "rows_left_out": {}} if self.strata is None else self.strata.as_json()
        return self.detail.as_json() | strata | {"seeds": None if self.seeds is None else self.seeds.as_json()}


def full_account(
    answered: Answered,
    *,
    challenge: Challenge,
    strata: Path | None = None,
    rng: np.random.Generator,
    n_resamples: int = N_RESAMPLES,
) -> FullAccount:
    """Everything beside the score of the first file; errors as of its parts."""
    rows = answered.rows()
    return FullAccount(
        detail(rows, answered.answers[0], rng=rng, n_resamples=n_resamples),
        None if strata is None else score_strata(rows, answered.truth, strata, rng=rng, n_resamples=n_resamples),
        seed_spread(answered, challenge=challenge, rng=rng, n_resamples=n_resamples),
    )
