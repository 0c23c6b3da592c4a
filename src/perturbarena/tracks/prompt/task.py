"""The prompt track as a task of inspect: one sample is one question, and its solver makes the seeded calls.

Three epochs of one call would cost three times the overhead of one sample of three calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig, get_model
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from perturbarena.challenge.records import Question
from perturbarena.tracks.prompt.calls import Caller, CallRecord
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.running.model import model_config

TASK: Final = "perturbarena/prompt_only"

Done = Callable[[Question, str, list[CallRecord]], None]
"""Told when all calls of a question have ended."""
Kept = Callable[[str], Sequence[CallRecord]]
"""Calls of a question that an earlier start has made and that stand."""


def build_task(
    questions: Iterable[Question],
    prompt_of: Callable[[Question], str],
    *,
    settings: PromptSettings,
    caller: Caller,
    done: Done | None = None,
    kept: Kept | None = None,
    own_model: bool = True,
) -> Task:
    """The task over these questions. Without ``own_model`` inspect chose the model; the sampling is set here."""
    samples = [
        Sample(id=question.id, input=prompt_of(question), metadata={"pert": question.pert, "gene": question.gene})
        for question in questions
    ]
    return Task(
        name=TASK,
        dataset=MemoryDataset(samples),
        solver=_solver(settings, caller, done, kept),
        scorer=seeds_mean(settings),
        config=GenerateConfig() if own_model else model_config(settings, logprobs=settings.answers == "logprobs"),
        fail_on_error=True,
        metadata={"ranked": settings.ranked, "answers": settings.answers, "seeds": list(settings.seeds)},
    )


def _solver(settings: PromptSettings, caller: Caller, done: Done | None, kept: Kept | None) -> Solver:
    @solver(name="perturbarena/seeded_calls")
    def seeded_calls() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            del generate  # it makes one call, and appends it to a conversation
            question = Question(str(state.sample_id), state.metadata["pert"], state.metadata["gene"])
            prompt = state.input_text
            known = {record.seed: record for record in (kept(question.id) if kept else ())}
            seeds = [seed for seed in settings.seeds if seed not in known]
            made = await caller.ask(get_model(), prompt, id_=question.id, seeds=seeds)
            known |= {record.seed: record for record in made}
            records = [known[seed] for seed in settings.seeds]
            if done is not None:
                done(question, prompt, records)
            state.output.completion = "\n\n".join(f"[seed {r.seed}] {r.written.content}" for r in records)
            state.metadata["calls"] = [_brief(record) for record in records]
            state.completed = True
            return state

        return solve

    return seeded_calls()


def _brief(record: CallRecord) -> dict[str, Any]:
    return {"seed": record.seed, **record.reading.as_json(), "reason": record.reading.reason}


def seeds_mean(settings: PromptSettings) -> Scorer:
    """Answered calls and mean probabilities for inspect's log; no truth is read, and no score hangs on it."""

    @scorer(name="perturbarena/seeds_mean", metrics={"*": [mean()]})
    def make() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            del target
            calls = state.metadata["calls"]
            fill = settings.unanswered
            pairs = [fill if call["reason"] else (call["p_up"], call["p_down"]) for call in calls]
            n = len(calls)
            values = {
                "answered": sum(not call["reason"] for call in calls) / n,
                "p_up": sum(p[0] for p in pairs) / n,
                "p_down": sum(p[1] for p in pairs) / n,
            }
            return Score(value=values, answer=", ".join(call["label"] or "unanswered" for call in calls))

        return score

    return make()
