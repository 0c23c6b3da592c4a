"""From files and names of models to a plan, and the run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from perturbarena.challenge.formats import read_labelled, read_questions
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.tracks.prompt import Transport, load_template, resolve_settings, shipped_template
from perturbarena.tracks.prompt.settings import AnswerMode, PromptSettings
from perturbarena.tracks.running.endpoint import full_model_name
from perturbarena.tracks.running.tokens import token_counter
from perturbarena.workflows.evolve.folder import evolve_in
from perturbarena.workflows.evolve.models import model_askers, reflecting
from perturbarena.workflows.evolve.run import Evolved, EvolvePlan, Limits
from perturbarena.workflows.run_prompt import file_hash, model_arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is to be improved, on which rows, and how much may be tried."""

    rows: Path
    template: Path | None = None
    shots: int = 0
    protect: tuple[Path, ...] = ()
    answers: AnswerMode = "stated"
    limits: Limits = field(default_factory=Limits)
    seed: int = 0
    seeds: Sequence[int] | None = None
    n_resamples: int = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Which models, and how they are reached."""

    model: str
    base_url: str | None = None
    reflection_model: str | None = None
    reflection_base_url: str | None = None
    concurrency: int = 60
    timeout: float = 600.0
    patience: float = 300.0
    max_completion_tokens: int | None = None
    reasoning_effort: Any = None
    model_args: tuple[str, ...] = ()


def start(
    folder: Path,
    wanted: Wanted,
    reached: Reached,
    *,
    challenge: Challenge,
    track: str,
    ledger: Path,
    tell: Callable[[str], None],
) -> Evolved:
    """Read the files, resolve both models by the track's rules, and evolve in ``folder``.

    Raises
    ------
    InputError
        If a file, a setting or a model's name is wrong; else as :func:`perturbarena.workflows.evolve.evolve`.
    """
    settings = _settings(wanted, reached, challenge, track)
    reflection = _reflection(settings, reached)
    transport = Transport(base_url=reached.base_url, concurrency=reached.concurrency, timeout=reached.timeout)
    elsewhere = reached.reflection_base_url or (reached.base_url if reached.reflection_model is None else None)
    to_reflect = replace(transport, base_url=elsewhere or reached.base_url)
    if wanted.template is None:
        given = shipped_template("stated" if wanted.answers == "stated" else "letter")
    else:
        given = load_template(wanted.template)
    files = {"rows": wanted.rows, "template": wanted.template}
    inputs = {name: file_hash(path) for name, path in files.items() if path is not None}
    plan = EvolvePlan(
        rows=read_labelled(wanted.rows),
        template=given.text,
        challenge=challenge,
        model={"answers": asdict(settings), "reflection": asdict(reflection)},
        seeds=settings.seeds,
        unanswered=settings.unanswered,
        max_prompt_tokens=settings.max_prompt_tokens,
        counter=token_counter(settings.model),
        shots=wanted.shots,
        protected=tuple(read_questions(path) for path in wanted.protect),
        limits=wanted.limits,
        seed=wanted.seed,
        inputs=inputs | {"protected": [file_hash(path) for path in wanted.protect]},
        n_resamples=wanted.n_resamples,
    )
    with model_askers((settings, transport), (reflection, to_reflect), patience=reached.patience) as (
        asker,
        reflector,
    ):
        return evolve_in(folder, plan, asker=asker, reflector=reflector, ledger=ledger, tell=tell)


def _settings(wanted: Wanted, reached: Reached, challenge: Challenge, track: str) -> PromptSettings:
    """The track's own sampling, with some of its seeds: the first unless others are named."""
    settings = resolve_settings(
        challenge, track, model=reached.model, answers=wanted.answers, base_url=reached.base_url,
        max_completion_tokens=reached.max_completion_tokens, reasoning_effort=reached.reasoning_effort,
        model_args=model_arguments(reached.model_args),
    )  # fmt: skip
    seeds = tuple(wanted.seeds or settings.seeds[:1])
    unknown = [seed for seed in seeds if seed not in settings.seeds]
    if unknown or len(set(seeds)) < len(seeds):
        known = ", ".join(map(str, settings.seeds))
        raise InputError(f"--seeds must be different ones of track {track}'s ({known}); got {list(seeds)}")
    return replace(settings, seeds=seeds)


def _reflection(settings: PromptSettings, reached: Reached) -> PromptSettings:
    if reached.reflection_model is None:
        if reached.reflection_base_url is not None:
            raise InputError("--reflection-base-url needs --reflection-model")
        return reflecting(settings)
    base_url = reached.reflection_base_url or reached.base_url
    name = full_model_name(reached.reflection_model, base_url=base_url, fixed=None)
    return replace(reflecting(settings, model=name), model_args={})
