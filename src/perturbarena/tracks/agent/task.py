"""The agent track as a task of inspect: one sample is one question with all its agents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer
from inspect_ai.solver import Generate, Solver, TaskState, solver

from perturbarena.challenge.records import Question
from perturbarena.errors import ModelServerError
from perturbarena.tracks.agent.designs import DESIGNS, Verdict
from perturbarena.tracks.agent.loop import QuestionRun
from perturbarena.tracks.agent.roles import Role
from perturbarena.tracks.agent.settings import AgentSettings
from perturbarena.tracks.agent.toolbox import ToolBox
from perturbarena.tracks.agent.trace import numbers
from perturbarena.tracks.prompt.template import Template
from perturbarena.tracks.running.server import Server

TASK: Final = "perturbarena/agent"


@dataclass(frozen=True, slots=True)
class Desk:
    """What every question of a run shares."""

    settings: AgentSettings
    roles: Mapping[str, Role]
    question: Template
    context: str
    toolbox: ToolBox
    server: Server
    done: Callable[[dict[str, Any]], None]
    """Told of each question's trace."""

    def opening(self, question: Question) -> str:
        """What the agents are asked."""
        return self.question.render(pert=question.pert, gene=question.gene, cell_context=self.context).strip()


def build_task(questions: Iterable[Question], desk: Desk) -> Task:
    """The task over these questions."""
    samples = [
        Sample(id=q.id, input=desk.opening(q), metadata={"pert": q.pert, "gene": q.gene}) for q in questions
    ]
    return Task(
        name=TASK,
        dataset=MemoryDataset(samples),
        solver=_solver(desk),
        scorer=answered(desk.settings),
        fail_on_error=True,
        metadata={"ranked": desk.settings.ranked, "design": desk.settings.design},
    )


def _solver(desk: Desk) -> Solver:
    @solver(name=f"perturbarena/{desk.settings.design}")
    def agents() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            del generate  # each agent has a conversation of its own
            question = Question(str(state.sample_id), state.metadata["pert"], state.metadata["gene"])
            run = QuestionRun(question, desk.settings, get_model(), desk.server, desk.toolbox)
            await desk.server.enter()
            try:
                verdict = await DESIGNS[desk.settings.design](run, desk.roles, desk.opening(question))
            except ModelServerError as error:
                desk.server.fatal = desk.server.fatal or error
                raise
            finally:
                desk.server.open()
            trace = _trace(run, verdict)
            desk.done(trace)
            state.messages = run.messages
            state.output.completion = verdict.reason or f"p_up={verdict.p_up:g}, p_down={verdict.p_down:g}"
            state.metadata["verdict"] = {key: trace[key] for key in ("answered", "p_up", "p_down", "numbers")}
            state.metadata["steps"] = run.recorder.steps  # the whole of it, sub-agents too, for inspect's log
            state.completed = True
            return state

        return solve

    return agents()


def _trace(run: QuestionRun, verdict: Verdict) -> dict[str, Any]:
    ok = not verdict.reason
    return {
        "id": run.question.id,
        "pert": run.question.pert,
        "gene": run.question.gene,
        "answered": ok,
        "reason": verdict.reason,
        "how": verdict.how,
        "p_up": verdict.p_up if ok else None,
        "p_down": verdict.p_down if ok else None,
        "rejected": run.rejected,
        "failures": run.failures,
        "numbers": numbers(run.recorder.steps)._asdict(),
        "steps": run.recorder.steps,
        "seconds": run.recorder.seconds,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def answered(settings: AgentSettings) -> Scorer:
    """Answered questions and probabilities for inspect's log; no truth is read, and no score hangs on it."""

    @scorer(name="perturbarena/answered", metrics={"*": [mean()]})
    def make() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            del target
            verdict = state.metadata["verdict"]
            p_up, p_down = settings.unanswered
            values = {
                "answered": float(verdict["answered"]),
                "p_up": verdict["p_up"] if verdict["answered"] else p_up,
                "p_down": verdict["p_down"] if verdict["answered"] else p_down,
                "tool_calls": verdict["numbers"]["tool_calls"],
            }
            return Score(value=values, answer=state.output.completion)

        return score

    return make()
