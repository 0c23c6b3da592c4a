"""``perturbarena fake-model``: a local server that behaves, or misbehaves, as told."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FAULTS = "Faults"
ANSWERS = "What it says"
PLANTED = "Planted skill, for trying to tune prompts"


def attach(app: typer.Typer) -> None:
    """Add ``fake-model``."""
    app.command("fake-model")(fake_model)


def fake_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port on 127.0.0.1; 0 takes a free one.")] = 0,
    latency_ms: Annotated[float, typer.Option(min=0, help="Milliseconds from request to answer.")] = 50.0,
    seed: Annotated[int, typer.Option(help="Another seed gives other answers and other faults.")] = 0,
    model: Annotated[str, typer.Option(help="Name under /v1/models; any name is answered.")] = "fake-model",
    max_rate: Annotated[float | None, typer.Option(help="Answers per second it can give.")] = None,
    log: Annotated[Path | None, typer.Option(help="JSON-lines file: one line per call as it ends.")] = None,
    stated: Annotated[
        bool, typer.Option("--stated", help="State P_up and P_down.", rich_help_panel=ANSWERS)
    ] = False,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Reasoning in reasoning_content.", rich_help_panel=ANSWERS)
    ] = False,
    logprobs: Annotated[
        bool, typer.Option("--logprobs/--no-logprobs", help="Can it do so?", rich_help_panel=ANSWERS)
    ] = True,
    answers: Annotated[
        Path | None, typer.Option(help="CSV with id,text: what to say.", rich_help_panel=ANSWERS)
    ] = None,
    replay: Annotated[
        Path | None, typer.Option(help="CSV of recorded outputs by seed.", rich_help_panel=ANSWERS)
    ] = None,
    script: Annotated[
        Path | None, typer.Option(help="JSON with scripted tool calls.", rich_help_panel=ANSWERS)
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="CSV of labelled questions it knows some of.", rich_help_panel=PLANTED)
    ] = None,
    skill: Annotated[
        float, typer.Option(min=0, max=1, help="Share of --truth it knows.", rich_help_panel=PLANTED)
    ] = 0.5,
    phrase: Annotated[
        str | None, typer.Option(help="Words in a prompt that make it know more.", rich_help_panel=PLANTED)
    ] = None,
    phrase_skill: Annotated[
        float, typer.Option(min=0, max=1, help="Share it knows with --phrase.", rich_help_panel=PLANTED)
    ] = 0.8,
    proposals: Annotated[
        Path | None,
        typer.Option(help="Sentences it proposes for a prompt, one a line.", rich_help_panel=PLANTED),
    ] = None,
    fail_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of calls with HTTP 500.", rich_help_panel=FAULTS)
    ] = 0.0,
    empty: Annotated[
        int, typer.Option(min=0, help="First answers to each seeded call are empty.", rich_help_panel=FAULTS)
    ] = 0,
    garble: Annotated[
        int, typer.Option(min=0, help="Then so many without a readable answer.", rich_help_panel=FAULTS)
    ] = 0,
    rate_limit: Annotated[
        float | None, typer.Option(help="Calls per second above which HTTP 429.", rich_help_panel=FAULTS)
    ] = None,
    rate_limit_every: Annotated[
        int | None, typer.Option(min=2, help="HTTP 429 to every so-manieth call.", rich_help_panel=FAULTS)
    ] = None,
    retry_after_s: Annotated[
        float, typer.Option(min=0, help="Retry-After of HTTP 429.", rich_help_panel=FAULTS)
    ] = 1.0,
    stall_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Share of calls held back.", rich_help_panel=FAULTS)
    ] = 0.0,
    stall_s: Annotated[
        float, typer.Option(min=0, help="Seconds for which they are held back.", rich_help_panel=FAULTS)
    ] = 60.0,
    die_after: Annotated[
        int | None, typer.Option(min=1, help="Exit when the call after so many arrives.", rich_help_panel=FAULTS)
    ] = None,
) -> None:
    """Serve an OpenAI-compatible fake model on 127.0.0.1 until interrupted.

    Its address is printed as one JSON line. /v1/chat/completions answers, deterministically by seed; /stats has
    the server's own counts, /requests the last requests as they arrived.

    Example: perturbarena fake-model --port 8000 --latency-ms 50 --fail-rate 0.1
    """
    chosen = dict(locals())  # before anything else is named: the parameters are the settings
    from perturbarena.tracks.models import FakeSettings, serve

    serve(FakeSettings.checked(**chosen))
