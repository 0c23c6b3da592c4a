"""``perturbarena run agent``: agents with tools, and the replay of their tool calls."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli import run_prompt as options
from perturbarena.cli.output import console, print_json
from perturbarena.cli.run_ending import RESAMPLES, show_ending
from perturbarena.cli.run_tracks import app as run_app

if TYPE_CHECKING:
    from perturbarena.challenge.rules import Challenge
    from perturbarena.tracks.agent import AgentSettings
    from perturbarena.tracks.agent.replay import Replay
    from perturbarena.tracks.agent.table import AgentTally
    from perturbarena.workflows.run_agent import AgentDryRun, AnsweredByAgents

_TOOLS = "Tools"
_SHOWN = 10
"""Differences of a replay that are printed; --json has all."""


class Design(StrEnum):
    """Which agents there are."""

    react = "react"
    team = "team"
    debate = "debate"


def attach(app: typer.Typer) -> None:
    """Nothing at the top: ``run agent`` stands in the group ``run``."""
    del app


@run_app.command()
def agent(
    questions: Annotated[
        Path | None, typer.Argument(help="CSV with pert, gene (id, label).", metavar="QUESTIONS.csv")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="As inspect names it (openai-api/vllm/…), or a server's own with --base-url."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RUN_DIR", help="The run's folder; resumed if begun.")
    ] = None,
    design: Annotated[
        Design,
        typer.Option(help="react: one agent; team: a coordinator and two specialists; debate: advocates, judges."),
    ] = Design.react,
    tools: Annotated[
        Path | None, typer.Option(help="Folder of Python files with your own tools.", rich_help_panel=_TOOLS)
    ] = None,
    knowledge: Annotated[
        Path | None, typer.Option(help="A knowledge store for the tools that ship.", rich_help_panel=_TOOLS)
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="TRAIN.csv",
            help="Training rows for tools that tell their labels, where the rules allow it.",
            rich_help_panel=_TOOLS,
        ),
    ] = None,
    max_tool_calls: Annotated[
        int | None, typer.Option(min=1, help="Calls for each question, below the track's.", rich_help_panel=_TOOLS)
    ] = None,
    tool_seconds: Annotated[
        float, typer.Option(min=0.1, help="Time limit of a call of your tools.", rich_help_panel=_TOOLS)
    ] = 30.0,
    tool_memory: Annotated[
        int, typer.Option(min=64, metavar="MIB", help="Memory limit of your tools.", rich_help_panel=_TOOLS)
    ] = 2048,
    tool_workers: Annotated[
        int, typer.Option(min=1, help="Processes for your tools.", rich_help_panel=_TOOLS)
    ] = 4,
    prompts: Annotated[
        Path | None, typer.Option(help="Folder with system prompts of your own, such as react.txt.")
    ] = None,
    base_url: options.BaseUrl = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show agents, tools and limits; send nothing.")
    ] = False,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="RUN_DIR", help="Run a finished run's tools again and compare; asks no model."),
    ] = None,
    retries: Annotated[
        int, typer.Option(min=0, help="How often an agent without a call or an answer is asked again.")
    ] = 2,
    ask_unanswered: Annotated[
        bool, typer.Option("--ask-unanswered", help="Ask again what was recorded as unanswered.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Most calls under way at once.", rich_help_panel="Server")
    ] = 60,
    timeout: options.Timeout = 600.0,
    attempts: Annotated[
        int, typer.Option(min=1, help="How often a failing call is made.", rich_help_panel="Server")
    ] = 6,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds until a silent server is gone.", rich_help_panel="Server")
    ] = 300.0,
    max_completion_tokens: options.MaxTokens = None,
    reasoning_effort: options.ReasoningEffort = None,
    model_arg: options.ModelArgs = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Sampling seed sent with every call.", rich_help_panel="Server")
    ] = None,
    challenge: options.ChallengeName = "bioreasoning-2026",
    track: options.Track = "B",
    unranked: options.Unranked = False,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    as_json: options.Json = False,
) -> None:
    """Let agents with tools answer every question, within the track's limits, and write its predictions.

    Your tools run in processes of their own, without network; the run's folder keeps a copy of them. Killed at any
    moment, the same command goes on with the questions that were not finished. Labelled questions are scored.

    Exit code 1: a replayed call gave something else than it did in the run.

    Example: perturbarena run agent test.csv --tools my_tools --model gpt-oss-120b --base-url URL -o runs/b
    """
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.errors import InputError
    from perturbarena.tracks.agent import agent_prompts, resolve_agent_settings
    from perturbarena.tracks.running.endpoint import Transport
    from perturbarena.workflows.run_agent import answer_with_agents, dry_agents, plan_agents
    from perturbarena.workflows.run_prompt import file_hash, model_arguments, read_asked

    if replay is not None:
        _replay(replay, knowledge, train=train, challenge=challenge, workers=tool_workers, as_json=as_json)
        return
    if questions is None or model is None:
        raise InputError("run agent needs QUESTIONS.csv and --model NAME (or --replay RUN_DIR)")
    rules = load_challenge(challenge)
    settings = resolve_agent_settings(
        rules, track, design=design.value, model=model, base_url=base_url, unranked=unranked,
        temperature=temperature, top_p=top_p, max_tool_calls=max_tool_calls, retries=retries, seed=seed,
        tool_seconds=tool_seconds, tool_memory_mib=tool_memory, max_completion_tokens=max_completion_tokens,
        reasoning_effort=reasoning_effort and reasoning_effort.value,
        model_args=model_arguments(model_arg or []),
    )  # fmt: skip
    asked = read_asked(questions, limit=limit)
    plan = plan_agents(
        asked, agent_prompts(design.value, rules.biology, folder=prompts), challenge=rules, settings=settings,
        transport=Transport(base_url=base_url, concurrency=concurrency, timeout=timeout, attempts=attempts),
        tools=tools, knowledge=knowledge, train=train, inputs={"questions": file_hash(questions)},
        tool_workers=tool_workers, ask_unanswered=ask_unanswered, patience=patience,
    )  # fmt: skip
    if dry_run:
        _show_dry(dry_agents(plan), as_json=as_json)
        return
    if output is None:
        raise InputError("run agent needs -o RUN_DIR (or --dry-run)")
    answered = answer_with_agents(plan, asked, output, resamples=RESAMPLES)
    _show(answered, settings, rules, questions=questions, as_json=as_json)


def _replay(
    folder: Path, knowledge: Path | None, *, train: Path | None, challenge: str, workers: int, as_json: bool
) -> None:
    from dataclasses import asdict

    from perturbarena.errors import InputError
    from perturbarena.tracks.agent.replay import replay_tools
    from perturbarena.tracks.tools import built_in_tools

    if train is not None:
        raise InputError("a replay runs tools without training labels; leave --train out")
    found = replay_tools(folder, challenge=challenge, shipped=built_in_tools(knowledge), workers=workers)
    if as_json:
        print_json(asdict(found) | {"skipped": dict(found.skipped)})
    else:
        _show_replay(found)
    if found.differences:
        raise typer.Exit(1)


def _show_replay(found: Replay) -> None:
    from rich.text import Text

    out = console()
    skipped = sum(found.skipped.values())
    out.print(
        f"{found.questions:,} questions: {found.calls:,} lookups run again, {found.same:,} gave the same, "
        f"{len(found.differences):,} did not ({skipped:,} calls were no lookups)",
        soft_wrap=True,
    )
    for one in found.differences[:_SHOWN]:
        arguments = ", ".join(f"{name}={value!r}" for name, value in one.arguments.items())
        out.print(Text(f"{one.id}, call {one.number}: {one.tool}({arguments})", "yellow"))
        out.print(Text(f"  recorded: {one.recorded[:300]}"))
        out.print(Text(f"  now:      {one.got[:300]}"))
    if len(found.differences) > _SHOWN:
        out.print(f"and {len(found.differences) - _SHOWN:,} more (--json lists all)", style="dim")


def _show(
    answered: AnsweredByAgents, settings: AgentSettings, rules: Challenge, *, questions: Path, as_json: bool
) -> None:
    run = answered.run
    if as_json:
        score = None if answered.score is None else answered.score.as_json()
        reached = {"folder": str(run.folder.path), "resumed": run.resumed, "calls_sent": run.calls_sent}
        about = {"ranked": settings.ranked, "tools": run.manifest["tools"], "counts": run.tally.as_json()}
        print_json(reached | about | {"score": score})
        return
    out = console()
    resumed = f", {run.resumed:,} of them from an earlier start" if run.resumed else ""
    out.print(
        f"[b]{run.folder.predictions}[/]: {run.tally.questions:,} questions by {settings.design}{resumed}; "
        f"{run.calls_sent:,} requests sent in {run.seconds:,.0f} s",
        soft_wrap=True,
    )
    _show_tally(run.tally, settings)
    _show_fence(run.manifest["tools"]["containment"], run.tally)
    if not settings.ranked:
        out.print("[yellow]unranked:[/] the track's rules were set aside")
    elif not run.manifest["model_is_the_tracks"]:
        fixed = rules.track(settings.track).model.fixed
        out.print(f"[yellow]note:[/] track {settings.track} is for {fixed}; this was {settings.model_name}")
    show_ending(answered.score, answered.unscored, folder=run.folder, track=settings.track, questions=questions)


def _show_tally(tally: AgentTally, settings: AgentSettings) -> None:
    from rich.text import Text

    out = console()
    out.print(f"{tally.answered:,} of {tally.questions:,} questions answered")
    if tally.unanswered:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in tally.unanswered.most_common(6))
        out.print(Text(f"unanswered, recorded as such: {reasons}", "yellow"))
    tools = ", ".join(f"{n:,} {name}" for name, n in tally.tools.most_common(8))
    out.print(
        Text(
            f"{tally.tool_calls:,} tool calls, at most {tally.most_tool_calls:,} for a question "
            f"(limit {settings.max_tool_calls:,}): {tools or 'none'}"
        ),
        soft_wrap=True,
    )
    if tally.tool_errors:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in tally.tool_errors.most_common())
        out.print(Text(f"calls that ended in an error: {kinds}", "yellow"))
    again = sum(tally.rejected.values()) + sum(tally.failures.values())
    if again:
        out.print(
            f"{sum(tally.rejected.values()):,} turns asked for again and {sum(tally.failures.values()):,} failed "
            "requests on the way",
            style="dim",
        )
    out.print(f"{tally.tokens:,} tokens in {tally.requests:,} answers of the model", style="dim")


def _show_fence(containment: dict[str, str], tally: AgentTally) -> None:
    if not containment:
        return
    held = ", ".join(f"{what}: {how}" for what, how in containment.items())
    weak = any("kernel" not in how for what, how in containment.items() if what != "time")
    out = console()
    out.print(f"your tools ran fenced in ({held})", style="yellow" if weak else "dim", soft_wrap=True)
    if tally.blocked:
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in tally.blocked.most_common())
        out.print(f"[yellow]held back:[/] {kinds}", soft_wrap=True)


def _show_dry(found: AgentDryRun, *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
        return
    from rich.rule import Rule
    from rich.text import Text

    out = console()
    told = found.as_json()
    for role in told["roles"]:
        out.print(Rule(f"{role['name']}: {role['prompt_tokens']:,} tokens", style="dim"))
        out.print(Text(role["system"].strip()), soft_wrap=True)
        for tool in role["tools"]:
            function = tool["function"]
            names = ", ".join(function["parameters"]["properties"])
            out.print(Text(f"  {function['name']}({names}): {function['description'].splitlines()[0]}", "cyan"))
    out.print(Rule("the first question", style="dim"))
    out.print(Text(found.opening), soft_wrap=True)
    out.print(Rule("nothing was sent", style="dim"))
    out.print(f"{found.n_questions:,} questions, at most {told['max_tool_calls']:,} tool calls each")
    out.print(
        f"longest system prompt with its tools: {told['prompt_tokens']:,} tokens ({found.counter}); "
        f"limit {told['max_prompt_tokens'] or 'none'}",
        soft_wrap=True,
    )
    out.print(f"different tools: {told['distinct_tools']}; limit {told['max_distinct_tools'] or 'none'}")
    for what, how in told["containment"].items():
        out.print(f"fence of your tools, {what}: {how}")
