"""What was tried: every change that was proposed, what became of it, and how candidates did on selection rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from perturbarena.challenge.records import LabelledQuestions, Predictions
from perturbarena.evaluation import score_strict
from perturbarena.workflows.evolve.candidate import Candidate
from perturbarena.workflows.evolve.pareto import pareto_front


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate on all selection rows.

    ``tokens`` are those of a question, over its seeds; ``longest`` those of the longest prompt, by the server's
    count, 0 where it did not say.
    """

    candidate: Candidate
    score: float
    de: float
    direction: float
    tokens: float
    longest: int = 0

    @classmethod
    def of(
        cls,
        candidate: Candidate,
        rows: LabelledQuestions,
        predictions: Predictions,
        tokens: np.ndarray,
        *,
        longest: int = 0,
    ) -> Trial:
        """Score a candidate's answers, without intervals: choosing among many, they would mislead."""
        found = score_strict(rows, predictions, rng=np.random.default_rng(0), n_resamples=0)
        return cls(candidate, found.score, found.de_auroc, found.dir_auroc, float(tokens.mean()), longest)


@dataclass(slots=True)
class History:
    """Trials in order, the baseline first, and proposals in order.

    ``limit``: most tokens of a prompt that the track allows; a longer one is no winner.
    """

    limit: int | None = None
    trials: list[Trial] = field(default_factory=list)
    proposals: list[dict[str, Any]] = field(default_factory=list)

    def add_trial(self, trial: Trial) -> None:
        """Note a candidate's scores on selection rows, once."""
        if all(trial.candidate != other.candidate for other in self.trials):
            self.trials.append(trial)

    def add_proposal(
        self, number: int, *, part: str, parent: Candidate, candidate: Candidate, refused: str
    ) -> None:
        """Note a proposed change; ``refused`` says why it was not tried."""
        self.proposals.append(
            {
                "proposal": number,
                "part": part,
                "parent": parent.digest,
                "candidate": candidate.digest,
                "outcome": "refused" if refused else "cut short",
                "why": refused,
                "template": candidate.template,
                "shots": list(candidate.shots),
            }
        )

    def judge_last(self, *, kept: bool, before: float | None = None, after: float | None = None) -> None:
        """Note what became of the last proposal on its training rows; sums of shares of the score."""
        if kept:
            self.proposals[-1]["outcome"] = "kept"
            return
        self.proposals[-1] |= {"outcome": "dropped", "why": "no better on the training rows it was made from"}
        self.proposals[-1] |= {"before": before, "after": after}

    def knows(self, candidate: Candidate) -> bool:
        """Whether it has been tried on selection rows; one that was dropped may come again, on other rows."""
        return any(trial.candidate == candidate for trial in self.trials)

    @property
    def baseline(self) -> Trial:
        """The first trial."""
        return self.trials[0]

    @property
    def best(self) -> Trial:
        """The best score on selection rows; among equals the one with fewer tokens, then the earlier."""
        allowed = [t for t in self.trials if self.limit is None or t.longest <= self.limit] or self.trials[:1]
        return min(allowed, key=lambda trial: (-trial.score, trial.tokens, self.trials.index(trial)))

    def outcomes(self) -> dict[str, int]:
        """Proposals by what became of them."""
        counts: dict[str, int] = dict.fromkeys(("kept", "dropped", "refused", "cut short"), 0)
        for proposal in self.proposals:
            counts[proposal["outcome"]] += 1
        return counts

    def table(self) -> pd.DataFrame:
        """``candidate,score,DE,DIR,tokens,longest_prompt,on_front,is_baseline,is_best``, a line a trial."""
        values = np.array([(t.de, t.direction, -t.tokens) for t in self.trials]).reshape(-1, 3)
        return pd.DataFrame(
            {
                "candidate": [t.candidate.digest for t in self.trials],
                "score": [t.score for t in self.trials],
                "DE": values[:, 0],
                "DIR": values[:, 1],
                "tokens": -values[:, 2],
                "longest_prompt": [t.longest for t in self.trials],
                "on_front": pareto_front(values) if len(values) else [],
                "is_baseline": [t is self.trials[0] for t in self.trials],
                "is_best": [t is self.best for t in self.trials],
            }
        )
