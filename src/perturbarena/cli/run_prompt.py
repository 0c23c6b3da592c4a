"""``perturbarena run prompt``, ``run merge`` and ``ask``: prompts for a language model."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perturbarena.cli.output import console, print_json, progress_console
from perturbarena.cli.run_ending import RESAMPLES, show_ending
from perturbarena.cli.run_tracks import app as run_app

if TYPE_CHECKING:
    from perturbarena.challenge.rules import Challenge
    from perturbarena.tracks.prompt import PromptSettings
    from perturbarena.tracks.prompt.dry import DryRun
    from perturbarena.tracks.prompt.table import Tally
    from perturbarena.workflows.run_prompt import AnsweredPrompts


class Answers(StrEnum):
    """How an answer becomes probabilities."""

    stated = "stated"
    logprobs = "logprobs"
    label = "label"


class Effort(StrEnum):
    """Reasoning effort."""

    none = "none"
    minimal = "minimal"
    low = "low"
    medium = "medium"
    high = "high"


_SERVER, _PROMPT, _RULES, _DRY = "Server", "Prompt", "Rules", "Dry run"

ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="As inspect names it (openai-api/vllm/…, hf/…, mockllm/…), or a server's own with --base-url.",
    ),
]
BaseUrl = Annotated[
    str | None, typer.Option(help="The server's address, …/v1.", rich_help_panel=_SERVER, metavar="URL")
]
Template = Annotated[
    Path | None,
    typer.Option(help="File with {pert}, {gene}, {cell_context}, {examples}.", rich_help_panel=_PROMPT),
]
Examples = Annotated[
    Path | None,
    typer.Option(help="CSV with labelled questions to draw examples from.", rich_help_panel=_PROMPT),
]
Shots = Annotated[int, typer.Option(min=0, help="Examples in each prompt.", rich_help_panel=_PROMPT)]
ShotSet = Annotated[
    Path | None,
    typer.Option(help="CSV with the same labelled examples for every question.", rich_help_panel=_PROMPT),
]
ShotsSeed = Annotated[int, typer.Option(min=0, help="Seed of their draw.", rich_help_panel=_PROMPT)]
How = Annotated[
    Answers, typer.Option(help="stated in the text; logprobs of the answer's letter; or its label as 0 and 1.")
]
Timeout = Annotated[
    float, typer.Option(min=0.1, help="Seconds before a call is made again.", rich_help_panel=_SERVER)
]
MaxTokens = Annotated[
    int | None,
    typer.Option(min=1, help="Most tokens that the model may write in a call.", rich_help_panel=_SERVER),
]
ReasoningEffort = Annotated[Effort | None, typer.Option(help="Reasoning effort.", rich_help_panel=_SERVER)]
ModelArgs = Annotated[
    list[str] | None,
    typer.Option(
        "-M", "--model-arg", metavar="NAME=VALUE", help="Arguments of the provider.", rich_help_panel=_SERVER
    ),
]
ChallengeName = Annotated[
    str, typer.Option(help="The challenge's name, or the path of its rules file.", rich_help_panel=_RULES)
]
Track = Annotated[str, typer.Option(help="The track whose rules hold.", rich_help_panel=_RULES)]
Unranked = Annotated[
    bool,
    typer.Option(
        "--unranked", help="Set the track's sampling rules aside; run.json says so.", rich_help_panel=_RULES
    ),
]
Temperature = Annotated[float | None, typer.Option(min=0, help="With --unranked.", rich_help_panel=_RULES)]
TopP = Annotated[float | None, typer.Option(min=0, max=1, help="With --unranked.", rich_help_panel=_RULES)]
Seeds = Annotated[
    str | None, typer.Option(help="With --unranked: seeds, such as 42,43.", rich_help_panel=_RULES, metavar="S,…")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def attach(app: typer.Typer) -> None:
    """Add ``ask``; ``run prompt`` and ``run merge`` stand in the group ``run``."""
    app.command()(ask)


@run_app.command()
def prompt(
    questions: Annotated[Path, typer.Argument(help="CSV with pert, gene (id, label).", metavar="QUESTIONS.csv")],
    model: ModelName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="RUN_DIR", help="The run's folder; resumed if begun.")
    ] = None,
    base_url: BaseUrl = None,
    template: Template = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="CSV (id,prompt) or JSONL: a prompt for each question.", rich_help_panel=_PROMPT),
    ] = None,
    examples: Examples = None,
    shots: Shots = 0,
    shots_seed: ShotsSeed = 0,
    shot_set: ShotSet = None,
    answers: How = Answers.stated,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N shards; see run merge.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show prompts, tokens, time and cost; send nothing.")
    ] = False,
    retries: Annotated[
        int, typer.Option(min=0, help="How often an empty or unreadable answer is asked for again.")
    ] = 2,
    ask_unanswered: Annotated[
        bool, typer.Option("--ask-unanswered", help="Ask again what was recorded as unanswered.")
    ] = False,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Most calls under way at once.", rich_help_panel=_SERVER)
    ] = 60,
    timeout: Timeout = 600.0,
    attempts: Annotated[
        int, typer.Option(min=1, help="How often a failing call is made.", rich_help_panel=_SERVER)
    ] = 6,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds until a silent server is gone.", rich_help_panel=_SERVER)
    ] = 300.0,
    max_completion_tokens: MaxTokens = None,
    reasoning_effort: ReasoningEffort = None,
    model_arg: ModelArgs = None,
    challenge: ChallengeName = "bioreasoning-2026",
    track: Track = "A",
    unranked: Unranked = False,
    temperature: Temperature = None,
    top_p: TopP = None,
    seeds: Seeds = None,
    output_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens expected in an answer.", rich_help_panel=_DRY)
    ] = 1000,
    tokens_per_second: Annotated[
        float, typer.Option(min=0.001, help="Expected of each concurrent call.", rich_help_panel=_DRY)
    ] = 50.0,
    price_in: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens read.", rich_help_panel=_DRY)
    ] = None,
    price_out: Annotated[
        float | None, typer.Option(min=0, help="Price of a million tokens written.", rich_help_panel=_DRY)
    ] = None,
    as_json: Json = False,
) -> None:
    """Ask a model every question with every seed of the track, and write the track's predictions.

    Killed at any moment, the same command goes on where it was. Keys come from inspect's environment variables
    (OPENAI_API_KEY, VLLM_API_KEY, …). Labelled questions are scored at once.

    Example: perturbarena run prompt test.csv --model openai-api/vllm/openai/gpt-oss-120b -o runs/first
    """
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.errors import InputError
    from perturbarena.tracks.prompt import Transport, resolve_settings
    from perturbarena.workflows.run_prompt import (
        PromptSource,
        answer_prompts,
        make_prompts,
        model_arguments,
        read_asked,
    )

    rules = load_challenge(challenge)
    settings = resolve_settings(
        rules, track, model=model, answers=answers.value, base_url=base_url, unranked=unranked,
        seeds=read_seeds(seeds), temperature=temperature, top_p=top_p, retries=retries,
        max_completion_tokens=max_completion_tokens,
        reasoning_effort=reasoning_effort and reasoning_effort.value,
        model_args=model_arguments(model_arg or []),
    )  # fmt: skip
    transport = Transport(base_url=base_url, concurrency=concurrency, timeout=timeout, attempts=attempts)
    asked = read_asked(questions, limit=limit, shard=shard)
    source = PromptSource(
        template=template, prompts=prompts, examples=examples, shots=shots, seed=shots_seed, shot_set=shot_set
    )
    made = make_prompts(source, asked.questions, challenge=rules, answers=answers.value)
    if dry_run:
        from perturbarena.tracks.prompt.dry import Expectation
        from perturbarena.tracks.prompt.dry import dry_run as reckon

        expected = Expectation(
            output_tokens=output_tokens,
            tokens_per_second=tokens_per_second,
            price_in=price_in,
            price_out=price_out,
        )
        _show_dry(reckon(asked.questions, made, settings, transport, expected), as_json=as_json)
        return
    if output is None:
        raise InputError("run prompt needs -o RUN_DIR (or --dry-run)")
    answered = answer_prompts(
        questions, asked, made, output, challenge=rules, settings=settings, transport=transport,
        inputs=source.hashes(), ask_unanswered=ask_unanswered, patience=patience, resamples=RESAMPLES,
    )  # fmt: skip
    _show(answered, settings, rules, questions=questions, as_json=as_json)


@run_app.command()
def merge(
    folders: Annotated[
        list[Path], typer.Argument(help="Finished runs of one set of settings.", metavar="RUN_DIR…")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN_DIR", help="The folder to write.")],
    challenge: ChallengeName = "bioreasoning-2026",
    as_json: Json = False,
) -> None:
    """Merge the shards of a run into one run folder.

    Example: perturbarena run merge runs/part1 runs/part2 -o runs/whole
    """
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.workflows.merge_shards import merge_shards

    tally = merge_shards(folders, output, challenge=load_challenge(challenge))
    if as_json:
        print_json({"folder": str(output), "counts": tally.as_json()})
        return
    console().print(f"[b]{output}[/]: {len(folders)} runs merged", soft_wrap=True)
    show_tally(tally)


def ask(
    pert: Annotated[str, typer.Argument(help="The perturbed gene.")],
    gene: Annotated[str, typer.Argument(help="The target gene.")],
    model: ModelName,
    base_url: BaseUrl = None,
    template: Template = None,
    examples: Examples = None,
    shots: Shots = 0,
    shots_seed: ShotsSeed = 0,
    shot_set: ShotSet = None,
    answers: How = Answers.stated,
    timeout: Timeout = 600.0,
    max_completion_tokens: MaxTokens = None,
    reasoning_effort: ReasoningEffort = None,
    model_arg: ModelArgs = None,
    challenge: ChallengeName = "bioreasoning-2026",
    track: Track = "A",
    unranked: Unranked = False,
    temperature: Temperature = None,
    top_p: TopP = None,
    seeds: Seeds = None,
    as_json: Json = False,
) -> None:
    """Ask a model one question, with the track's first seed, and print the answer with its reasoning.

    Exit code 1: the model gave no readable answer.

    Example: perturbarena ask Tlr4 Il6 --model gpt-oss-120b --base-url http://localhost:8000/v1
    """
    from perturbarena.challenge.records import Question, Questions
    from perturbarena.challenge.rules import load_challenge
    from perturbarena.tracks.prompt import Transport, resolve_settings
    from perturbarena.tracks.prompt.ask import ask_one
    from perturbarena.workflows.run_prompt import PromptSource, make_prompts, model_arguments

    rules = load_challenge(challenge)
    settings = resolve_settings(
        rules, track, model=model, answers=answers.value, base_url=base_url, unranked=unranked,
        seeds=read_seeds(seeds), temperature=temperature, top_p=top_p,
        max_completion_tokens=max_completion_tokens,
        reasoning_effort=reasoning_effort and reasoning_effort.value,
        model_args=model_arguments(model_arg or []),
    )  # fmt: skip
    question = Question(f"{pert}_{gene}", pert, gene)
    source = PromptSource(template=template, examples=examples, shots=shots, seed=shots_seed, shot_set=shot_set)
    made = make_prompts(source, Questions.from_pairs([pert], [gene]), challenge=rules, answers=answers.value)
    record = ask_one(
        question,
        made.text_of(question),
        settings=settings,
        transport=Transport(base_url=base_url, timeout=timeout),
    )
    if as_json:
        print_json({"id": question.id, "model": settings.model_name, **record.as_json()})
    else:
        _show_call(record, pert=pert, gene=gene)
    if not record.answered:
        raise typer.Exit(1)


def read_seeds(text: str | None) -> list[int] | None:
    """Whole numbers separated by commas; InputError where they are none."""
    from perturbarena.errors import InputError

    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"--seeds must be whole numbers, such as 42,43; got {text!r}") from error


def _show(
    answered: AnsweredPrompts, settings: PromptSettings, rules: Challenge, *, questions: Path, as_json: bool
) -> None:
    run = answered.run
    if as_json:
        score = None if answered.score is None else answered.score.as_json()
        reached = {"folder": str(run.folder.path), "resumed": run.resumed, "calls_sent": run.calls_sent}
        print_json(reached | {"ranked": settings.ranked, "counts": run.tally.as_json(), "score": score})
        return
    out = console()
    resumed = f", {run.resumed:,} of them from an earlier start" if run.resumed else ""
    out.print(
        f"[b]{run.folder.predictions}[/]: {run.tally.questions:,} questions{resumed}; {run.calls_sent:,} requests "
        f"sent in {run.seconds:,.0f} s",
        soft_wrap=True,
    )
    show_tally(run.tally)
    if not settings.ranked:
        out.print("[yellow]unranked:[/] the track's sampling rules were set aside")
    elif not run.manifest["model_is_the_tracks"]:
        fixed = rules.track(settings.track).model.fixed
        out.print(f"[yellow]note:[/] track {settings.track} is for {fixed}; this was {settings.model_name}")
    show_ending(answered.score, answered.unscored, folder=run.folder, track=settings.track, questions=questions)


def show_tally(tally: Tally) -> None:
    """Print how the calls of a run were answered."""
    from rich.text import Text

    out = console()
    how = ", ".join(f"{n:,} by {name}" for name, n in tally.how.most_common())
    labels = ", ".join(f"{n:,} {name}" for name, n in tally.label.most_common())
    out.print(Text(f"{sum(tally.how.values()):,} of {tally.calls:,} calls answered: {labels or 'none'} ({how})"))
    if tally.calls_unanswered:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in tally.calls_unanswered.most_common(6))
        out.print(Text(f"unanswered, recorded as such: {reasons}", "yellow"))
        out.print(
            Text(f"  {tally.unanswered:,} questions have no answer, {tally.partly:,} lack a seed's", "yellow")
        )
    again = sum(tally.rejected.values()) + sum(tally.failures.values())
    if again:
        out.print(
            f"{sum(tally.rejected.values()):,} unreadable answers and {sum(tally.failures.values()):,} failed "
            "requests on the way",
            style="dim",
        )
    out.print(f"{tally.tokens:,} tokens; the longest prompt has {tally.max_prompt_tokens:,}", style="dim")


def _show_call(record: Any, *, pert: str, gene: str) -> None:
    from rich.text import Text

    out = console()
    if record.written.reasoning.strip():
        out.print(Text(record.written.reasoning.strip(), "dim"))
        out.print()
    if record.written.content.strip():
        out.print(Text(record.written.content.strip()))
        out.print()
    if record.answered:
        r = record.reading
        none = 1.0 - r.p_up - r.p_down
        out.print(
            f"[b]{pert} → {gene}: {r.label}[/]  up {r.p_up:.3f}, down {r.p_down:.3f}, none {max(none, 0.0):.3f}  "
            f"(read by {r.how}; {record.total_tokens:,} tokens, {record.seconds:.1f} s)"
        )
    else:
        progress_console().print(Text(f"{pert} → {gene}: no answer ({record.reading.reason})", "yellow"))


def _show_dry(found: DryRun, *, as_json: bool) -> None:
    if as_json:
        print_json(found.as_json())
        return
    from rich.rule import Rule
    from rich.text import Text

    out = console()
    for question, text, count in found.prompts:
        out.print(Rule(f"{question.id}: {count:,} tokens", style="dim"))
        out.print(Text(text), soft_wrap=True)
    out.print(Rule("nothing was sent", style="dim"))
    out.print(f"{found.n_questions:,} questions, {found.n_calls:,} calls", soft_wrap=True)
    limit = f"; the limit is {found.limit:,}, {found.over_limit:,} prompts are longer" if found.limit else ""
    out.print(
        f"longest prompt: {found.longest[0]}, {found.longest[1]:,} tokens ({found.counter}){limit}", soft_wrap=True
    )
    out.print(f"tokens: {found.input_tokens:,} read, about {found.output_tokens:,} written", soft_wrap=True)
    minutes, seconds = divmod(round(found.seconds), 60)
    out.print(f"time: about {minutes:,} min {seconds} s, if the server writes as fast as expected", soft_wrap=True)
    cost = (
        "not reckoned (--price-in, --price-out per million tokens)" if found.cost is None else f"{found.cost:,.2f}"
    )
    out.print(f"cost: {cost}", soft_wrap=True)
