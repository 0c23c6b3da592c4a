"""Answer questions with agents, and score at once where the questions are labelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perturbarena.challenge.formats import read_labelled
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.evaluation import ScoreResult
from perturbarena.tracks.agent import AgentPrompts, AgentSettings
from perturbarena.tracks.agent.runner import AgentPlan, AgentRunResult, Company, assemble, open_tools, run_agents
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.tokens import token_counter
from perturbarena.tracks.tools import built_in_tools
from perturbarena.workflows.run_prompt import Asked, file_hash, score_run


@dataclass(frozen=True, slots=True)
class AnsweredByAgents:
    """The run, and its score where the questions are labelled."""

    run: AgentRunResult
    score: ScoreResult | None
    unscored: str = ""
    """Why there is no score although there are labels."""


def plan_agents(
    asked: Asked,
    prompts: AgentPrompts,
    *,
    challenge: Challenge,
    settings: AgentSettings,
    transport: Transport,
    tools: Path | None = None,
    knowledge: Path | None = None,
    train: Path | None = None,
    inputs: Mapping[str, Any] | None = None,
    **others: Any,
) -> AgentPlan:
    """Everything a run needs, nothing sent.

    ``train`` adds the shipped tools that look at labels of training rows; rows that share a name with a question
    are not seen by them.

    Raises
    ------
    InputError
        If ``train`` is given without ``knowledge``, or a file cannot be read.
    """
    if train is not None and knowledge is None:
        raise InputError("tools over training rows need a knowledge store too: give --knowledge")
    hashes = dict(inputs or {})
    for name, path in (("knowledge", knowledge), ("train", train)):
        if path is not None and path.is_file():
            hashes[name] = file_hash(path)
    rows = None if train is None else read_labelled(train)
    return AgentPlan(
        questions=asked.questions, prompts=prompts, challenge=challenge, settings=settings, tools=tools,
        shipped=built_in_tools(knowledge, train=rows, hidden=asked.questions), transport=transport, inputs=hashes,
        **others,
    )  # fmt: skip


def answer_with_agents(
    plan: AgentPlan, asked: Asked, folder: Path, *, resamples: int = 2_000, quiet: bool = False
) -> AnsweredByAgents:
    """Run, then score against the file's own labels."""
    run = run_agents(plan, folder, quiet=quiet)
    if asked.labelled is None:
        return AnsweredByAgents(run, None)
    score, unscored = score_run(
        run.folder.predictions, asked, challenge=plan.challenge, track=plan.settings.track, resamples=resamples
    )
    return AnsweredByAgents(run, score, unscored)


@dataclass(frozen=True, slots=True)
class AgentDryRun:
    """What a run would show its agents."""

    company: Company
    counter: str
    n_questions: int
    opening: str
    """What the first question's agents are asked."""
    settings: AgentSettings

    def as_json(self) -> dict[str, Any]:
        """The agents with their tools, and the figures."""
        counter = token_counter(self.settings.model)
        roles = [
            role.as_json() | {"prompt_tokens": role.prompt_tokens(counter)} for role in self.company.roles.values()
        ]
        return {
            "roles": roles,
            "opening": self.opening,
            "n_questions": self.n_questions,
            "counter": self.counter,
            "prompt_tokens": self.company.shown.prompt_tokens,
            "max_prompt_tokens": self.settings.max_prompt_tokens,
            "distinct_tools": self.company.shown.distinct_tools,
            "max_distinct_tools": self.settings.max_distinct_tools,
            "max_tool_calls": self.settings.max_tool_calls,
            "containment": dict(self.company.containment),
        }


def dry_agents(plan: AgentPlan) -> AgentDryRun:
    """Load the tools, hold everything to the rules, and send nothing."""
    from perturbarena.tracks.prompt import cell_context

    with open_tools(plan, plan.tools) as (toolbox, own):
        company = assemble(plan, toolbox, own)
    first = next(iter(plan.questions))
    context = cell_context(plan.challenge.biology)
    opening = plan.prompts.question.render(pert=first.pert, gene=first.gene, cell_context=context).strip()
    counter = token_counter(plan.settings.model).name
    return AgentDryRun(company, counter, len(plan.questions), opening, plan.settings)
