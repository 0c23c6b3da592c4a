"""An agent run from questions to a folder: resume what is there, ask what is left, write the table last.

Beside what every run of a model leaves (:mod:`perturbarena.tracks.running.folder`) there are ``agents.json``, what
each agent is shown, and ``tools/``, a copy of the entrant's tools: the copy is what runs and what is packed.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from perturbarena.challenge.formats import atomic, write_json
from perturbarena.challenge.records import Question, Questions
from perturbarena.challenge.rules import Challenge
from perturbarena.challenge.tool_files import inside_tools, tool_files
from perturbarena.errors import InputError
from perturbarena.tracks.agent.roles import (
    RESERVED,
    AgentPrompts,
    Role,
    check_limits,
    digest,
    distinct_tools,
    make_roles,
)
from perturbarena.tracks.agent.settings import AgentSettings
from perturbarena.tracks.agent.table import AgentTally, Shown, write_agent_table
from perturbarena.tracks.agent.task import Desk, build_task
from perturbarena.tracks.agent.toolbox import ToolBox
from perturbarena.tracks.prompt.template import cell_context
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.evaluate import evaluate
from perturbarena.tracks.running.folder import FORMAT_VERSION, RunFolder
from perturbarena.tracks.running.manifest import common_manifest
from perturbarena.tracks.running.model import build_model
from perturbarena.tracks.running.progress import Progress
from perturbarena.tracks.running.server import PATIENCE, TRANSPORT, Server
from perturbarena.tracks.running.tokens import token_counter
from perturbarena.tracks.tools import ToolLimits, ToolSet, UserTools, tool_hashes


@dataclass(frozen=True, slots=True)
class AgentRunResult:
    """What a run left behind: its folder, the counts over all its starts, and the requests of this start."""

    folder: RunFolder
    tally: AgentTally
    calls_sent: int
    seconds: float
    resumed: int
    """Questions that an earlier start had finished."""
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlan:
    """Everything a run needs to know."""

    questions: Questions
    prompts: AgentPrompts
    challenge: Challenge
    settings: AgentSettings
    tools: Path | None = None
    """The folder of the entrant's own tools."""
    shipped: ToolSet = field(default_factory=ToolSet)
    transport: Transport = field(default_factory=Transport)
    tool_workers: int = 4
    inputs: Mapping[str, Any] | None = None
    """Files and their hashes, for the manifest."""
    ask_unanswered: bool = False
    """Ask again what ended without an answer; failed requests are always made again."""
    patience: float = PATIENCE

    @property
    def tool_limits(self) -> ToolLimits:
        """Of the entrant's tools."""
        s = self.settings
        return ToolLimits(seconds=s.tool_seconds, memory_mib=s.tool_memory_mib, workers=self.tool_workers)

    def tool_files(self) -> dict[str, Path]:
        """The entrant's files by their path inside the folder of tools, as the packer will see them."""
        if self.tools is None:
            return {}
        track = self.challenge.track(self.settings.track)
        found = tool_files(self.tools, track, name=self.settings.track).found
        return {inside_tools(path, track): file for path, file in found.items()}


@dataclass(frozen=True, slots=True)
class Company:
    """The agents of a run and how their tools are fenced in."""

    roles: dict[str, Role]
    shown: Shown
    containment: Mapping[str, str]
    """Empty where there are no tools of the entrant's own."""


def assemble(plan: AgentPlan, toolbox: ToolBox, own: UserTools | None) -> Company:
    """The agents with their tools, held to the rules before anything is sent.

    Raises
    ------
    InputError
        If a prompt is too long, there are too many tools, or one uses labels that the rules do not allow or a name
        that is taken.
    """
    settings = plan.settings
    marked = [schema.name for schema in toolbox.schemas if schema.uses_training_labels]
    if marked and not settings.training_labels:
        raise InputError(
            f"the tool {marked[0]} uses labels of training rows, which track {settings.track} of "
            f"{settings.challenge} does not allow; leave it out, or set --unranked"
        )
    taken = sorted(RESERVED & {schema.name for schema in toolbox.schemas})
    if taken:
        raise InputError(f"{taken[0]} is a name of the agents' own tools; rename yours")
    roles = make_roles(settings.design, plan.prompts.systems, toolbox.schemas)
    counter = token_counter(settings.model)
    if settings.ranked:
        check_limits(roles, counter, max_tokens=settings.max_prompt_tokens, max_tools=settings.max_distinct_tools)
    longest = max(role.prompt_tokens(counter) for role in roles.values())
    containment = {} if own is None else own.loaded.containment
    return Company(roles, Shown(longest, distinct_tools(roles)), containment)


@contextmanager
def open_tools(plan: AgentPlan, folder: Path | None) -> Iterator[tuple[ToolBox, UserTools | None]]:
    """The lookups of a run, the entrant's from this folder."""
    if folder is None:
        yield ToolBox(plan.shipped), None
        return
    with UserTools(folder, list(plan.tool_files()), limits=plan.tool_limits) as own:
        yield ToolBox(plan.shipped, own), own


def run_agents(plan: AgentPlan, folder: Path, *, quiet: bool = False) -> AgentRunResult:
    """Ask every question that the folder does not hold, then write ``predictions.csv`` and ``run.json``.

    Raises
    ------
    InputError
        If the folder belongs to another run, there are no questions, or the agents break the track's rules.
    ModelServerError
        If the server refuses every call.
    """
    if not len(plan.questions):
        raise InputError("there are no questions to ask")
    if len(set(plan.questions.id)) < len(plan.questions):
        raise InputError("an id may stand once among the questions")
    with open_tools(plan, plan.tools) as (toolbox, own):
        agents = digest(assemble(plan, toolbox, own).roles, plan.prompts.question)
    run = RunFolder(folder)
    began = datetime.now(UTC)
    hashes = tool_hashes(plan.tool_files())
    held = {
        **asdict(plan.settings),
        "questions": _digest(plan.questions),
        "agents_sha256": agents,
        "tools": hashes,
    }
    with run.open(held) as positions:
        copy = _copy_tools(plan, run, hashes)
        with open_tools(plan, copy) as (toolbox, own):
            return _run(plan, run, positions, toolbox, assemble(plan, toolbox, own), began=began, quiet=quiet)


def _run(
    plan: AgentPlan, run: RunFolder, positions: dict[str, int], toolbox: ToolBox, company: Company,
    *, began: datetime, quiet: bool,
) -> AgentRunResult:  # fmt: skip
    if not run.prompt.is_file():
        with atomic(run.prompt) as file:
            file.write(plan.prompts.kept)
    write_json(run.path / "agents.json", _agents(plan, company))
    pending = _pending(plan, run, positions)
    resumed = len(plan.questions) - len(pending)
    progress = Progress(len(plan.questions), done=resumed, unit="questions")
    if pending:
        run.manifest.unlink(missing_ok=True)  # a folder with a manifest is a finished run
        _ask(plan, run, pending, toolbox, company, progress=progress, quiet=quiet)
    traces = run.read(iter([positions[id_] for id_ in plan.questions.id]))
    tally = write_agent_table(
        run.predictions, traces, challenge=plan.challenge, settings=plan.settings, shown=company.shown
    )
    manifest = common_manifest(
        "agent", plan.settings, plan.transport, challenge=plan.challenge, began=began, progress=progress, run=run
    ) | {
        "inputs": dict(plan.inputs or {}),
        "tools": {
            "files": tool_hashes(plan.tool_files()),
            "containment": dict(company.containment),
            "distinct": company.shown.distinct_tools,
        },
        "prompt_tokens": company.shown.prompt_tokens,
        "counts": tally.as_json(),
    }  # fmt: skip
    write_json(run.manifest, manifest)
    return AgentRunResult(run, tally, progress.counts.calls, progress.seconds, resumed, manifest)


def _ask(
    plan: AgentPlan, run: RunFolder, pending: list[Question], toolbox: ToolBox, company: Company,
    *, progress: Progress, quiet: bool,
) -> None:  # fmt: skip
    server = Server(plan.transport, counts=progress.counts, patience=plan.patience)
    model = build_model(plan.settings, plan.transport)

    def done(trace: dict[str, Any]) -> None:
        run.append(trace)
        if trace["answered"]:
            progress.counts.answered += 1
        else:
            progress.counts.unanswered[trace["reason"]] += 1
        progress.question_done(quiet=quiet)

    context = cell_context(plan.challenge.biology)
    desk = Desk(plan.settings, company.roles, plan.prompts.question, context, toolbox, server, done)
    # an agent has one request under way at a time, so as many questions as there may be requests
    evaluate(
        build_task(pending, desk), model, n=len(pending), logs=run.logs, server=server,
        max_samples=max(2, plan.transport.concurrency),
    )  # fmt: skip
    progress.finish(quiet=quiet)


def _pending(plan: AgentPlan, run: RunFolder, positions: dict[str, int]) -> list[Question]:
    again = {
        trace["id"]
        for trace in run.read(list(positions.values()))
        if not trace["answered"] and (plan.ask_unanswered or trace["reason"].startswith(TRANSPORT))
    }
    return [q for q in plan.questions if q.id not in positions or q.id in again]


def _copy_tools(plan: AgentPlan, run: RunFolder, hashes: dict[str, str]) -> Path | None:
    """The run's own copy of the tools, made once."""
    if plan.tools is None:
        return None
    copy = run.path / "tools"
    if copy.resolve() != plan.tools.resolve():
        for inside, source in plan.tool_files().items():
            target = copy / inside
            if not target.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    track = plan.challenge.track(plan.settings.track)
    found = tool_files(copy, track, name=plan.settings.track).found
    ran = tool_hashes({inside_tools(path, track): file for path, file in found.items()})
    for name in sorted(ran.keys() | hashes.keys()):
        if ran.get(name) != hashes.get(name):
            raise InputError(f"{copy / name} was changed since the run began; choose another folder (-o)")
    return copy


def _agents(plan: AgentPlan, company: Company) -> dict[str, Any]:
    counter = token_counter(plan.settings.model)
    return {
        "format_version": FORMAT_VERSION,
        "design": plan.settings.design,
        "roles": [
            role.as_json() | {"prompt_tokens": role.prompt_tokens(counter)} for role in company.roles.values()
        ],
        "question": plan.prompts.question.text,
        "counter": counter.name,
        "containment": dict(company.containment),
    }


def _digest(questions: Questions) -> str:
    total = hashlib.sha256()
    for question in questions:
        total.update(f"{question.id}\t{question.pert}\t{question.gene}\n".encode())
    return total.hexdigest()
