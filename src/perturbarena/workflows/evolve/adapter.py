"""What gepa needs to know of prompts and questions: how a candidate fares on rows, and how to change one.

Only training rows are ever shown to the model that reflects, and only selection rows decide which candidate is
best; the confirmation rows do not come this way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from gepa.core.adapter import EvaluationBatch

from perturbarena.challenge.records import DOWN, NONE, UP, LabelledQuestions, Predictions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError, ModelServerError
from perturbarena.tracks.prompt.batch import Call
from perturbarena.tracks.running.tokens import TokenCounter
from perturbarena.workflows.evolve.answers import Answers, BudgetSpentError, Kept
from perturbarena.workflows.evolve.candidate import SHOTS, Candidate, exchanged
from perturbarena.workflows.evolve.history import History, Trial
from perturbarena.workflows.evolve.reflection import MOST_SHOWN, request, template_in, wrong_answer
from perturbarena.workflows.evolve.refusal import Guard
from perturbarena.workflows.evolve.rows import Parts
from perturbarena.workflows.evolve.shares import row_shares

MARGIN: Final = 1.25
"""An estimated length is held against the track's limit times this; the server's own count decides later."""
WORDS: Final = {UP: "up", DOWN: "down", NONE: "no change"}


class Instance(NamedTuple):
    """One row, as gepa hands it about."""

    part: str
    row: int


class Evaluated(NamedTuple):
    """A candidate's answers to n rows, and the tokens of each question over its calls, shape (n,)."""

    predictions: Predictions
    tokens: np.ndarray
    said: list[Kept]
    """The first seed's."""
    longest: int
    """Tokens of the longest prompt, by the server's count."""


@dataclass(slots=True)
class Evolution:
    """The optimiser's view of one run: rows, model, limits, and what has happened."""

    parts: Parts
    challenge: Challenge
    answers: Answers
    guard: Guard
    history: History
    seeds: tuple[int, ...]
    unanswered: tuple[float, float]
    counter: TokenCounter
    max_prompt_tokens: int | None
    seed: int
    stopped_by: BaseException | None = None
    """What ended the search early; gepa swallows what is raised while a change is proposed."""
    after_trial: Callable[[], None] = lambda: None
    _proposals: int = field(default=0)

    def evaluate(
        self,
        batch: list[Instance],
        candidate: dict[str, str],
        capture_traces: bool = False,  # noqa: FBT001, FBT002 (gepa calls it so)
    ) -> EvaluationBatch[Any, Kept]:
        """Answers to some rows of one part, with each row's share of the score."""
        (part,) = {instance.part for instance in batch}
        rows = self.parts.of(part).take(np.array([instance.row for instance in batch], int))
        chosen = Candidate.from_texts(candidate)
        found = self.answer(chosen, rows)
        shares = row_shares(rows, found.predictions)
        if part == "selection":
            self.history.add_trial(Trial.of(chosen, rows, found.predictions, found.tokens, longest=found.longest))
            self.after_trial()
        objectives = [
            {"DE": float(d), "DIR": float(u), "tokens": -float(t)}
            for d, u, t in zip(shares.de, shares.direction, found.tokens, strict=True)
        ]
        trajectories = self._trajectories(rows, found) if capture_traces and part == "train" else None
        return EvaluationBatch(
            outputs=found.said,
            scores=shares.score.tolist(),
            trajectories=trajectories,
            objective_scores=objectives,
        )

    def answer(self, candidate: Candidate, rows: LabelledQuestions) -> Evaluated:
        """Ask the candidate's prompts with every seed; the mean over seeds, filled in where nothing was answered.

        Raises
        ------
        BudgetSpentError, ModelServerError
            See :meth:`perturbarena.workflows.evolve.answers.Answers.ask`.
        """
        prompts = candidate.prompts(self.parts.train, challenge=self.challenge)
        calls = [Call(q.id, prompts.text_of(q), seed) for q in rows.questions for seed in self.seeds]
        said = self.answers.ask(calls)
        p = np.array([(one.p_up, one.p_down) if one.answered else self.unanswered for one in said])
        p = p.reshape(len(rows), len(self.seeds), 2).mean(axis=1)
        tokens = np.array([one.tokens for one in said], float).reshape(len(rows), -1).sum(axis=1)
        longest = max((one.prompt_tokens for one in said), default=0)
        return Evaluated(Predictions(rows.id, p[:, 0], p[:, 1]), tokens, said[:: len(self.seeds)], longest)

    def _trajectories(self, rows: LabelledQuestions, found: Evaluated) -> list[dict[str, Any]]:
        p = found.predictions
        none = 1 - p.p_up - p.p_down
        shown = []
        for i, question in enumerate(rows.questions):
            by_label = {UP: float(p.p_up[i]), DOWN: float(p.p_down[i]), NONE: float(none[i])}
            read = max(by_label, key=lambda label: by_label[label])
            said = found.said[i]
            answer = WORDS[read] if said.answered else f"not at all: {said.reason}"
            label = str(rows.label[i])
            shown.append(
                {"p_right": by_label[label], "is_wrong": read != label or not said.answered}
                | wrong_answer(
                    question.id, question.pert, question.gene, said=said.text, answer=answer, right=WORDS[label]
                )
            )
        return shown

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: EvaluationBatch[Any, Any], components_to_update: list[str]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """The wrong answers among training rows, the most wrong first."""
        del candidate
        shown_before: list[dict[str, Any]] = list(eval_batch.trajectories or ())
        seen = sorted(shown_before, key=lambda one: one["p_right"])
        wrong = [one for one in seen if one["is_wrong"]][:MOST_SHOWN] or seen[:1]
        shown = [{k: v for k, v in one.items() if k not in ("p_right", "is_wrong")} for one in wrong]
        return dict.fromkeys(components_to_update, shown)

    def propose_new_texts(
        self,
        candidate: dict[str, str],
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> dict[str, str]:
        """A changed template, or an exchanged example; nothing where the change is refused, repeated or broken."""
        (name,) = components_to_update
        self._proposals += 1
        before = Candidate.from_texts(candidate)
        try:
            after = self._changed(before, name, reflective_dataset[name])
        except (BudgetSpentError, ModelServerError) as error:
            self.stopped_by = error
            return {}
        why = self._why_not(after)
        self.history.add_proposal(self._proposals, part=name, parent=before, candidate=after, refused=why)
        return {} if why else {name: after.as_texts()[name]}

    def _changed(self, before: Candidate, name: str, wrong: Sequence[Mapping[str, Any]]) -> Candidate:
        if name == SHOTS:
            rng = np.random.default_rng([self.seed, 3, self._proposals])
            ids = tuple(str(one["id"]) for one in wrong)
            return Candidate(before.template, exchanged(before.shots, ids, self.parts.train, rng=rng))
        reply = self.answers.reflect(request(before.template, wrong), number=self._proposals)
        return Candidate(template_in(reply.text), before.shots)

    def _why_not(self, after: Candidate) -> str:
        if self.history.knows(after):
            return "it has been tried before"
        return self.why_not(after)

    def why_not(self, candidate: Candidate) -> str:
        """Why a candidate may not be asked with; empty where it may."""
        try:
            prompts = candidate.prompts(self.parts.train, challenge=self.challenge)
        except InputError as error:
            return f"it is no template: {error}"
        told = self.guard.why_not(candidate.template)
        if told or self.max_prompt_tokens is None:
            return told
        longest = max(self.counter.count(prompts.text_of(question)) for question in self.parts.selection.questions)
        if longest > self.max_prompt_tokens * (1.0 if self.counter.exact else MARGIN):
            return f"its prompts have up to {longest:,} tokens; the track allows {self.max_prompt_tokens:,}"
        return ""

    def on_candidate_accepted(self, event: Mapping[str, Any]) -> None:
        """gepa has taken the last proposal into its pool."""
        del event
        self.history.judge_last(kept=True)

    def on_candidate_rejected(self, event: Mapping[str, Any]) -> None:
        """gepa has dropped the last proposal after its minibatch."""
        self.history.judge_last(kept=False, before=event["old_score"], after=event["new_score"])
