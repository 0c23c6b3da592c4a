"""``perturbarena run finetuned``: an open model of one's own answers, in this process or behind a server."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from perturbarena.cli.output import console, print_json, progress_console
from perturbarena.cli.run_ending import RESAMPLES, show_ending
from perturbarena.cli.run_prompt import show_tally
from perturbarena.cli.run_tracks import app as run_app

if TYPE_CHECKING:
    from perturbarena.workflows.run_finetuned import AnsweredFinetuned, FinetunedDryRun, Prepared

_MODEL, _SAMPLING, _PROMPT, _SERVER, _RULES = "Model", "Sampled answers", "Prompt", "Server", "Rules"


class FinetunedAnswers(StrEnum):
    """How an answer becomes probabilities."""

    likelihood = "likelihood"
    logprobs = "logprobs"
    stated = "stated"
    label = "label"


class Choice(StrEnum):
    """How several answers become one."""

    first = "first"
    majority = "majority"
    mean = "mean"
    best = "best"
    weighted = "weighted"


class WeightType(StrEnum):
    """Type of the weights in memory."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


def attach(app: typer.Typer) -> None:
    """Nothing to add: ``run finetuned`` stands in the group ``run``."""
    del app


@run_app.command()
def finetuned(
    model: Annotated[
        str, typer.Argument(help="Folder, hub name, or (with --base-url) a server's name.", metavar="MODEL")
    ],
    questions: Annotated[Path, typer.Argument(help="CSV with pert, gene (id, label).", metavar="QUESTIONS.csv")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RUN_DIR", help="The run's folder; resumed if begun.")
    ] = None,
    answers: Annotated[
        FinetunedAnswers | None,
        typer.Option(
            help="likelihood of each answer, nothing is written (the default here); logprobs of the letter after "
            "the model's reasoning; stated in its text (the default on a server); its label as 0 and 1."
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows in a batch, in this process.")] = 16,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    shard: Annotated[str | None, typer.Option(metavar="I/N", help="Only the I-th of N shards.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show prompts, tokens, parameters, settings; ask nothing.")
    ] = False,
    adapter: Annotated[
        Path | None, typer.Option(help="A LoRA adapter's folder, put on MODEL.", rich_help_panel=_MODEL)
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU if there is one.", rich_help_panel=_MODEL)
    ] = None,
    dtype: Annotated[
        WeightType, typer.Option(help="auto: bfloat16 on a GPU, float32 on a CPU.", rich_help_panel=_MODEL)
    ] = WeightType.auto,
    model_name: Annotated[
        str | None, typer.Option(help="The name in the submission.", rich_help_panel=_MODEL, metavar="NAME")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=1, help="Texts sampled for each question.", rich_help_panel=_SAMPLING)
    ] = 1,
    rerank: Annotated[
        Choice | None,
        typer.Option(
            help="How several become one: first, majority, mean; with a critic best or weighted.",
            rich_help_panel=_SAMPLING,
        ),
    ] = None,
    critic: Annotated[
        Path | None, typer.Option(help="A trained critic's folder.", rich_help_panel=_SAMPLING, metavar="DIR")
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Of one text, reasoning included; 4,096.", rich_help_panel=_SAMPLING),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="By default as the model advises.", rich_help_panel=_SAMPLING)
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(min=0.01, max=1, help="By default as the model advises.", rich_help_panel=_SAMPLING),
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(min=0, help="By default as the model advises.", rich_help_panel=_SAMPLING)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the first sample.", rich_help_panel=_SAMPLING)] = 0,
    template: Annotated[
        Path | None,
        typer.Option(help="By default the prompt it was trained with.", rich_help_panel=_PROMPT),
    ] = None,
    system: Annotated[
        Path | None, typer.Option(help="File with the system message.", rich_help_panel=_PROMPT)
    ] = None,
    thinking: Annotated[
        bool | None,
        typer.Option("--thinking/--no-thinking", help="Told to the chat template.", rich_help_panel=_PROMPT),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(help="A server that has MODEL loaded, …/v1.", rich_help_panel=_SERVER, metavar="URL"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Its weights' folder, to count and hash.", rich_help_panel=_SERVER, metavar="DIR"),
    ] = None,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Most calls under way at once.", rich_help_panel=_SERVER)
    ] = 60,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds before a call is made again.", rich_help_panel=_SERVER)
    ] = 600.0,
    attempts: Annotated[
        int, typer.Option(min=1, help="How often a failing call is made.", rich_help_panel=_SERVER)
    ] = 6,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds until a silent server is gone.", rich_help_panel=_SERVER)
    ] = 300.0,
    ask_unanswered: Annotated[
        bool,
        typer.Option("--ask-unanswered", help="Ask again what had no readable answer.", rich_help_panel=_SERVER),
    ] = False,
    challenge: Annotated[
        str, typer.Option(help="The challenge's name, or the path of its rules file.", rich_help_panel=_RULES)
    ] = "bioreasoning-2026",
    track: Annotated[str, typer.Option(help="The track whose rules hold.", rich_help_panel=_RULES)] = "C",
    unranked: Annotated[
        bool,
        typer.Option("--unranked", help="Set the track's limits aside; run.json says so.", rich_help_panel=_RULES),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Answer every question with a fine-tuned model, and write the track's predictions.

    No tools, no other model; parameters are counted from the weights, base and adapter are recorded by hash. The
    model is asked in the prompt it was trained with. Killed at any moment, the same command goes on where it was.

    Example: perturbarena run finetuned runs/sft test.csv -o runs/answers
    """
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.errors import InputError
    from perturbarena.tracks.finetune.inference import Wishes
    from perturbarena.tracks.prompt import Transport
    from perturbarena.workflows.run_finetuned import (
        ModelSource,
        PromptChoice,
        answer_finetuned,
        dry_finetuned,
        prepare,
    )
    from perturbarena.workflows.run_prompt import read_asked

    if output is None and not dry_run:
        raise InputError("run finetuned needs -o RUN_DIR (or --dry-run)")
    rules = load_challenge(challenge)
    asked = read_asked(questions, limit=limit, shard=shard)
    ready = prepare(
        questions, asked,
        ModelSource(
            model=model, adapter=adapter, base_url=base_url, weights=weights, critic=critic, device=device,
            dtype=dtype.value,
        ),
        challenge=rules, track=track,
        wishes=Wishes(
            answers=None if answers is None else answers.value, samples=samples,
            rerank=None if rerank is None else rerank.value, seed=seed,
            temperature=temperature, top_p=top_p, top_k=top_k, max_new_tokens=max_new_tokens,
            batch_size=batch_size, model_name=model_name, unranked=unranked,
        ),
        prompt=PromptChoice(template=template, system=system, thinking=thinking),
        say=lambda what: progress_console().print(what, style="dim", markup=False),
    )  # fmt: skip
    if dry_run or output is None:
        _show_dry(dry_finetuned(ready), as_json=as_json)
        return
    answered = answer_finetuned(
        ready, output, ask_unanswered=ask_unanswered, patience=patience, resamples=RESAMPLES,
        transport=Transport(base_url=base_url, concurrency=concurrency, timeout=timeout, attempts=attempts),
    )  # fmt: skip
    _show(answered, ready, questions=questions, as_json=as_json)


def _show(answered: AnsweredFinetuned, ready: Prepared, *, questions: Path, as_json: bool) -> None:
    from perturbarena.challenge.words import counted

    run, settings = answered.run, ready.settings
    if as_json:
        score = None if answered.score is None else answered.score.as_json()
        reached = {"folder": str(run.folder.path), "resumed": run.resumed, "model_name": settings.model_name}
        counted = {"parameters": settings.parameters, "ranked": settings.ranked, "counts": run.tally.as_json()}
        print_json(reached | counted | {"score": score})
        return
    out = console()
    resumed = f", {run.resumed:,} of them from an earlier start" if run.resumed else ""
    out.print(
        f"[b]{run.folder.predictions}[/]: {counted(run.tally.questions, 'question')}{resumed}, "
        f"in {run.seconds:,.1f} s",
        soft_wrap=True,
    )
    _show_model(ready)
    show_tally(run.tally)
    show_ending(answered.score, answered.unscored, folder=run.folder, track=settings.track, questions=questions)


def _show_model(ready: Prepared) -> None:
    from rich.text import Text

    out, settings = console(), ready.settings
    limit = ready.challenge.track(settings.track).limits.max_parameters
    if settings.parameters is None:
        counted, style = "parameters not counted: give --weights DIR, the folder that the server loads", "yellow"
    else:
        allowed = "" if limit is None else f" (fewer than {limit:,} are allowed)"
        counted, style = f"{settings.parameters:,} parameters{allowed}; weights {settings.weights or '':.12}…", ""
    out.print(Text(f"{settings.model_name}: {counted}", style), soft_wrap=True)
    warned = "yellow" if "NOT" in ready.chat_from else "dim"
    out.print(Text(f"prompt: {ready.chat_from}", warned), soft_wrap=True)
    if ready.learned_from:
        out.print("[yellow]the model learned from this very file:[/] its score says nothing of new questions")
    if not settings.ranked:
        out.print("[yellow]unranked:[/] the track's limits were set aside")


def _show_dry(found: FinetunedDryRun, *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
        return
    from rich.rule import Rule
    from rich.text import Text

    from perturbarena.challenge.words import counted

    out, settings = console(), found.ready.settings
    for question, text, count in found.prompts:
        out.print(Rule(question.id + ("" if count is None else f": {count:,} tokens"), style="dim"))
        out.print(Text(text), soft_wrap=True)
    out.print(Rule("nothing was asked", style="dim"))
    _show_model(found.ready)
    how = f"answers by {settings.answers}"
    if settings.written:
        how += (
            f": {counted(settings.samples, 'text')} a question, at most "
            f"{settings.max_new_tokens:,} new tokens each, temperature {settings.temperature:g}, top-p "
            f"{settings.top_p:g}, top-k {settings.top_k or 'off'}; {settings.rerank} of them"
        )
    out.print(f"{counted(found.n_questions, 'question')}; {how}", soft_wrap=True)
    if found.longest is not None and found.input_tokens is not None:
        room = "" if found.positions is None else f"; the model holds {found.positions:,}"
        out.print(
            f"tokens to read: {found.input_tokens:,}; longest prompt: {found.longest[0]}, "
            f"{found.longest[1]:,} tokens{room}",
            soft_wrap=True,
        )
