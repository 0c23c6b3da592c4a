"""From a prompt to a better one, or the finding that there is none: search, choose, confirm once, write down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from gepa.api import optimize

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.evaluation.metric import N_RESAMPLES
from perturbarena.tracks.running.folder import RunFolder
from perturbarena.tracks.running.meter import Meter
from perturbarena.tracks.running.tokens import TokenCounter, token_counter
from perturbarena.workflows.evolve.adapter import Evolution, Instance
from perturbarena.workflows.evolve.answers import Answers, Asker, BudgetSpentError
from perturbarena.workflows.evolve.candidate import Candidate, first_shots
from perturbarena.workflows.evolve.confirmation import Confirmation, confirm
from perturbarena.workflows.evolve.history import History
from perturbarena.workflows.evolve.refusal import Guard
from perturbarena.workflows.evolve.rows import Parts, deal_parts

SPARE: Final = 1.15
"""Tokens are put by for the confirmation at so many times what selection rows took."""

Verdict = Literal["improved", "no improvement", "not confirmed"]
"""``not confirmed``: something looked better, and the budget ended before it was told. The baseline is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is tried, and on how many rows."""

    max_calls: int = 4_000
    """Requests to models in all, reflection and confirmation among them."""
    max_tokens: int | None = None
    """Tokens read and written in all, by the servers' count."""
    proposals: int = 20
    """Changes that are proposed."""
    minibatch: int = 24
    """Training rows that a change is made from and first tried on."""
    rows: Mapping[str, int] = field(default_factory=lambda: {"train": 600, "selection": 150, "confirmation": 400})
    """The most rows of each part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvolvePlan:
    """Everything that decides what comes out."""

    rows: LabelledQuestions
    template: str
    challenge: Challenge
    model: Mapping[str, Any]
    """Settings of both models, for the record: a second start must share them."""
    seeds: tuple[int, ...]
    unanswered: tuple[float, float] = (1 / 3, 1 / 3)
    max_prompt_tokens: int | None = None
    counter: TokenCounter | None = None
    shots: int = 0
    protected: tuple[Questions, ...] = ()
    """Questions still to be asked: no prompt may tell of them."""
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    inputs: Mapping[str, Any] = field(default_factory=dict)
    n_resamples: int = N_RESAMPLES


@dataclass(frozen=True, slots=True)
class Evolved:
    """What came out. ``best`` is the winner where it was confirmed, and the baseline otherwise."""

    verdict: Verdict
    why: str
    best: Candidate
    baseline: Candidate
    parts: Parts
    history: History
    confirmation: Confirmation | None
    meter: Meter
    ended: str
    """Why the search ended."""


def evolve(
    plan: EvolvePlan,
    *,
    asker: Asker,
    reflector: Asker,
    ledger: Path,
    folder: RunFolder | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Evolved:
    """Search, choose and confirm. With an open ``folder`` every answer is kept there.

    Raises
    ------
    InputError
        If the rows are too few, the budget cannot hold a baseline and a confirmation, or the template itself tells
        of rows it would be scored on.
    ModelServerError
        If a model cannot be reached; the answers that came are kept.
    """
    limits, (parts, baseline) = plan.limits, prepared(plan)
    meter = Meter(max_calls=limits.max_calls, max_tokens=limits.max_tokens)
    answers = Answers(asker=asker, reflector=reflector, meter=meter, folder=folder)
    evolution = _evolution(plan, parts, answers)
    meter.kept_calls = 2 * len(parts.confirmation) * len(plan.seeds)

    def after_trial() -> None:
        trials = evolution.history.trials
        taken = trials[0].tokens + max(trial.tokens for trial in trials)
        meter.kept_tokens = round(SPARE * taken * len(parts.confirmation))
        tell(_line(evolution, meter, limits))

    evolution.after_trial = after_trial
    ended = _search(evolution, baseline, plan, tell=tell)
    meter.kept_calls = meter.kept_tokens = 0
    return _conclude(evolution, baseline, plan, ledger=ledger, ended=ended, tell=tell)


class Prepared(NamedTuple):
    """What a run begins with: the rows' parts, and the prompt as it was given with its first examples."""

    parts: Parts
    baseline: Candidate


def prepared(plan: EvolvePlan) -> Prepared:
    """Deal the rows, and find what stands against the run before anything is sent or written.

    Raises
    ------
    InputError
        See :func:`evolve`.
    """
    parts = deal_parts(plan.rows, most=plan.limits.rows, rng=np.random.default_rng([plan.seed, 0]))
    _check_budget(plan, parts)
    asked = {pair for questions in plan.protected for pair in zip(questions.pert, questions.gene, strict=True)}
    shared = [pair for pair in zip(plan.rows.pert, plan.rows.gene, strict=True) if pair in asked]
    if shared:
        raise InputError(
            f"{len(shared):,} labelled rows are among the protected questions, e.g. {'_'.join(shared[0])}: their "
            "labels would stand in prompts; take them out"
        )
    if plan.shots > len(parts.train):
        raise InputError(f"--shots {plan.shots} are more than the {len(parts.train):,} rows to learn from")
    shots = first_shots(parts.train, plan.shots, rng=np.random.default_rng([plan.seed, 1]))
    baseline = Candidate(plan.template, shots)
    refused = _evolution(plan, parts, None).why_not(baseline)
    if refused:
        raise InputError(f"the template cannot be used: {refused}")
    return Prepared(parts, baseline)


def _evolution(plan: EvolvePlan, parts: Parts, answers: Answers | None) -> Evolution:
    guard = Guard([parts.selection.questions, parts.confirmation.questions, *plan.protected])
    return Evolution(
        parts=parts,
        challenge=plan.challenge,
        answers=answers or Answers.none(),
        guard=guard,
        history=History(limit=plan.max_prompt_tokens),
        seeds=plan.seeds,
        unanswered=plan.unanswered,
        counter=plan.counter or token_counter(""),
        max_prompt_tokens=plan.max_prompt_tokens,
        seed=plan.seed,
    )


def _check_budget(plan: EvolvePlan, parts: Parts) -> None:
    limits, n_seeds = plan.limits, len(plan.seeds)
    least = n_seeds * (len(parts.selection) + 2 * len(parts.confirmation) + 2 * limits.minibatch) + 1
    if limits.max_calls < least:
        raise InputError(
            f"--max-calls {limits.max_calls:,} is too few: the baseline takes {n_seeds * len(parts.selection):,}, "
            f"one change {2 * n_seeds * limits.minibatch + 1:,} and the confirmation "
            f"{2 * n_seeds * len(parts.confirmation):,}; at least {least:,} are needed, or fewer rows"
        )


def _search(evolution: Evolution, baseline: Candidate, plan: EvolvePlan, *, tell: Callable[[str], None]) -> str:
    """Let gepa search; why it ended."""
    limits, parts = plan.limits, evolution.parts
    meter = evolution.answers.meter

    def over(gepa_state: Any) -> bool:
        return evolution.stopped_by is not None or gepa_state.i + 1 >= limits.proposals

    try:
        optimize(
            seed_candidate=baseline.as_texts(),
            trainset=[Instance("train", i) for i in range(len(parts.train))],
            valset=[Instance("selection", i) for i in range(len(parts.selection))],
            adapter=evolution,  # pyright: ignore[reportArgumentType]  (gepa's protocol has a Variable where this has a method)
            frontier_type="hybrid",
            skip_perfect_score=False,
            reflection_minibatch_size=min(limits.minibatch, len(parts.train)),
            module_selector="round_robin",
            stop_callbacks=over,
            callbacks=[evolution],  # pyright: ignore[reportArgumentType]
            logger=_Silent(),
            track_best_outputs=False,
            seed=plan.seed,
        )
    except BudgetSpentError as error:
        evolution.stopped_by = error
    if isinstance(evolution.stopped_by, BudgetSpentError):
        if not evolution.history.trials:
            raise InputError(
                f"the budget ended before the baseline was judged: {meter.calls:,} calls and {meter.tokens:,} "
                "tokens are spent; give more, or fewer rows"
            ) from evolution.stopped_by
        tell("the budget for searching is spent")
        return "the budget for searching was spent"
    if evolution.stopped_by is not None:
        raise evolution.stopped_by
    return f"{limits.proposals} changes were proposed"


def _conclude(
    evolution: Evolution,
    baseline: Candidate,
    plan: EvolvePlan,
    *,
    ledger: Path,
    ended: str,
    tell: Callable[[str], None],
) -> Evolved:
    history, meter = evolution.history, evolution.answers.meter
    winner = history.best

    def evolved(verdict: Verdict, why: str, confirmation: Confirmation | None = None) -> Evolved:
        best = winner.candidate if verdict == "improved" else baseline
        return Evolved(verdict, why, best, baseline, evolution.parts, history, confirmation, meter, ended)

    if winner.candidate == baseline:
        return evolved("no improvement", "no change did better than the baseline on the selection rows")
    n = len(evolution.parts.confirmation)
    tell(f"{winner.candidate.digest} did best on selection rows; confirming it on {n:,} untouched rows")
    try:
        found = confirm(
            evolution, baseline, winner.candidate, ledger=ledger, seed=plan.seed, n_resamples=plan.n_resamples
        )
    except BudgetSpentError:
        return evolved("not confirmed", "the budget ended before the confirmation rows were all answered")
    if found.gated.look.accepted:
        return evolved("improved", "the difference on untouched rows lies above 0 with its interval", found)
    return evolved("no improvement", "the difference on untouched rows cannot be told from 0", found)


def _line(evolution: Evolution, meter: Meter, limits: Limits) -> str:
    history = evolution.history
    last, best = history.trials[-1], history.best
    of = "baseline" if len(history.trials) == 1 else f"change {len(history.proposals)} of {limits.proposals}"
    tokens = f"{meter.tokens:,}" + (f" of {meter.max_tokens:,}" if meter.max_tokens else "")
    return (
        f"{of}: score {last.score:.3f} on selection rows (best {best.score:.3f}); {meter.calls:,} of "
        f"{limits.max_calls:,} calls, {tokens} tokens"
    )


class _Silent:
    """gepa's log is not wanted: what happened stands in the history."""

    def log(self, message: str) -> None:
        del message
