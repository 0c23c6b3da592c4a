"""``inspect eval perturbarena/prompt_only``: the prompt track for people who drive inspect themselves.

The answers lie in inspect's log. A submission's table, resuming and shards come with ``perturbarena run prompt``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai.model import get_model

from perturbarena.challenge.formats import read_labelled, read_questions
from perturbarena.challenge.rules import load_challenge
from perturbarena.errors import InputError
from perturbarena.tracks.prompt.calls import Caller
from perturbarena.tracks.prompt.prompts import template_prompts
from perturbarena.tracks.prompt.settings import ANSWER_MODES, resolve_settings
from perturbarena.tracks.prompt.shots import Examples
from perturbarena.tracks.prompt.task import build_task
from perturbarena.tracks.prompt.template import load_template, shipped_template
from perturbarena.tracks.running.endpoint import Transport
from perturbarena.tracks.running.progress import Counts
from perturbarena.tracks.running.server import Server


@task
def prompt_only(
    questions: str,
    template: str | None = None,
    answers: str = "stated",
    examples: str | None = None,
    shots: int = 0,
    challenge: str = "bioreasoning-2026",
    track: str = "A",
    limit: int | None = None,
    concurrency: int = 60,
) -> Task:
    """One prompt for each question, asked with every seed of the track.

    Args:
        questions: CSV with id, pert, gene.
        template: File with {pert}, {gene}, {cell_context}, {examples}.
        answers: stated, logprobs or label.
        examples: CSV with labelled training questions.
        shots: How many of them stand in each prompt.
        challenge: The challenge's name or rules file.
        track: Its track.
        limit: Only the first so many questions.
        concurrency: Most calls under way at once.
    """
    if answers not in ANSWER_MODES:
        raise InputError(f"answers must be one of {', '.join(ANSWER_MODES)}; got {answers!r}")
    rules = load_challenge(challenge)
    asked = list(read_questions(questions))[:limit]
    chosen: dict[str, Any] = {"answers": answers}
    settings = resolve_settings(rules, track, model=str(get_model()), **chosen)
    shown = Examples(read_labelled(examples), shots) if examples and shots else None
    name = "stated" if answers == "stated" else "letter"
    text = load_template(Path(template)) if template else shipped_template(name)
    prompts = template_prompts(text, challenge=rules, examples=shown)
    caller = Caller(settings, Server(Transport(concurrency=concurrency), counts=Counts()))
    return build_task(asked, prompts.text_of, settings=settings, caller=caller, own_model=False)
