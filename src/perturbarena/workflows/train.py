"""Settings → a trained model, its curves, its score on rows held back, and a manifest: SFT, GRPO or a critic."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from perturbarena import __version__
from perturbarena.challenge.formats import read_labelled, read_predictions, sha256, write_predictions
from perturbarena.challenge.records import LabelledQuestions
from perturbarena.challenge.rules import Challenge, load_challenge
from perturbarena.errors import InputError
from perturbarena.evaluation import ScoreResult, score_strict
from perturbarena.report import Curve, draw_training_curves
from perturbarena.tracks.finetune import ChatPrompt, TrainingFolder, TrainSettings, model_files, read_history
from perturbarena.tracks.finetune.course import Course, Looker, Progress
from perturbarena.tracks.finetune.critic import critic_examples, judge, verdict_auroc, verdict_example
from perturbarena.tracks.finetune.examples import (
    Example,
    Split,
    answer_examples,
    probability_examples,
    rationale_examples,
    split_rows,
)
from perturbarena.tracks.finetune.grpo import check_grpo, train_grpo
from perturbarena.tracks.finetune.models import check_extra
from perturbarena.tracks.finetune.preparation import Prepared, prepare_model, save_model
from perturbarena.tracks.finetune.sft import plan_training, train_sft
from perturbarena.tracks.finetune.traces import Traces, judge_traces, read_traces
from perturbarena.tracks.finetune.validation import Watched, sample_rows
from perturbarena.tracks.prompt import load_template, shipped_template
from perturbarena.tracks.prompt.template import Template

Kind = Literal["sft", "grpo", "critic"]
SHIPPED_TEMPLATES: Final = ("letter", "stated")
N_RESAMPLES: Final = 2000
_PANELS: Final = (
    ("Loss on training rows", {"loss": "loss"}),
    ("Mean reward", {"reward": "sum of rewards"}),
    (
        "AUROC on rows held back",
        {"validation_de": "DE", "validation_dir": "DIR", "validation_auroc": "right or wrong"},
    ),
)


@dataclass(frozen=True, slots=True)
class Trained:
    """A finished training. ``score`` is None for a critic, ``verdicts`` (an AUROC) for the others."""

    folder: TrainingFolder
    kind: Kind
    course: Course
    score: ScoreResult | None
    verdicts: float | None
    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Inputs:
    """What a training starts from; the split is made before anything else looks at a row."""

    split: Split
    traces: Traces
    watched_traces: Traces
    prompt: ChatPrompt
    challenge: Challenge
    hashes: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Job:
    """All that one training works with. ``told`` hears what was seen at each look."""

    inputs: _Inputs
    prepared: Prepared
    settings: TrainSettings
    folder: TrainingFolder
    progress: Progress | None
    told: Callable[[dict[str, float]], None] | None


@dataclass(frozen=True, slots=True)
class _Done:
    """What one kind of training gives back beside the course."""

    course: Course
    counts: dict[str, int]
    answer: Callable[[], tuple[ScoreResult | None, float | None]]


def train(
    kind: Kind,
    settings: TrainSettings,
    output: Path,
    *,
    progress: Progress | None = None,
    on_look: Callable[[dict[str, float]], None] | None = None,
) -> Trained:
    """Train into a folder; a killed training is gone on with by the same call.

    Parameters
    ----------
    progress
        Told (steps done, steps in all).
    on_look
        Told what was seen at each look at the rows held back.

    Raises
    ------
    InputError
        If an input is wrong, the model is too big for the track, or the folder belongs to another training.
    """
    check_extra()
    if kind == "grpo":
        check_grpo(settings)
    began = datetime.now(UTC)
    inputs = _read(kind, settings)
    folder = TrainingFolder(output)
    with folder.open({"kind": kind, "settings": settings.model_dump(mode="json"), "inputs": inputs.hashes}):
        prepared = prepare_model(
            settings.model,
            folder.path,
            rows=inputs.split.train,
            prompt=inputs.prompt,
            max_parameters=inputs.challenge.track(settings.data.track).limits.max_parameters,
            seed=settings.training.seed,
        )
        job = _Job(inputs, prepared, settings, folder, progress, on_look)
        done = _JOBS[kind](job)
        save_model(prepared.model, prepared, inputs.prompt, folder.model)
        score, verdicts = done.answer()
        _draw(folder, title=f"{kind.upper()} of {settings.model.name}")
        manifest = _manifest(kind, job, done=done, began=began) | {
            "validation": None if score is None else score.as_json(),
            "verdict_auroc": verdicts,
        }
        folder.finish(manifest)
    return Trained(folder, kind, done.course, score, verdicts, manifest)


def chosen_template(name: str) -> Template:
    """A shipped template by its name, or one from a file."""
    return shipped_template(name) if name in SHIPPED_TEMPLATES else load_template(Path(name))


def _read(kind: Kind, settings: TrainSettings) -> _Inputs:
    data, seed = settings.data, settings.training.seed
    if data.train is None:
        raise InputError("no training rows: set data.train in the settings, or give --train")
    if kind == "critic" and not data.traces:
        raise InputError("a critic learns from recorded answers to training rows: set data.traces")
    challenge = load_challenge(data.challenge)
    rows = read_labelled(data.train)
    split = split_rows(rows, folds=settings.validation.folds, rng=np.random.default_rng([seed, 0]))
    recorded = read_traces(data.traces, column=data.trace_column)
    prompt = ChatPrompt.of(
        chosen_template(settings.prompt.template),
        challenge=challenge,
        system=settings.prompt.system,
        thinking=settings.prompt.thinking,
    )
    hashes = {data.train: sha256(data.train)} | {path: _hash(Path(path)) for path in data.traces}
    if data.probabilities is not None:
        hashes[data.probabilities] = sha256(data.probabilities)
    return _Inputs(
        split,
        judge_traces(recorded, split.train),
        judge_traces(recorded, split.validation),
        prompt,
        challenge,
        hashes | {"prompt": prompt.digest},
    )


def _hash(path: Path) -> str:
    return sha256(path / "traces" / "answers.jsonl" if path.is_dir() else path)


def _sft(job: _Job) -> _Done:
    inputs, prepared, settings = job.inputs, job.prepared, job.settings
    examples = _examples(inputs, settings)
    tokenizer, prompt = prepared.tokenizer, inputs.prompt
    plan = plan_training(
        examples, lambda e: prompt.example(e.question, e.answer, tokenizer, reasoning=e.reasoning), settings
    )
    look = _looker(job)
    course = train_sft(prepared, plan, settings, job.folder.path, look=look, progress=job.progress)
    counts = {"examples": plan.examples, "too_long": plan.too_long}
    return _Done(course, counts, lambda: (_score(job), None))


def _grpo(job: _Job) -> _Done:
    inputs, prepared, settings = job.inputs, job.prepared, job.settings
    rows = inputs.split.train
    look = _looker(job)
    course = train_grpo(prepared, rows, inputs.prompt, settings, job.folder.path, look=look, progress=job.progress)
    return _Done(course, {"examples": len(rows)}, lambda: (_score(job), None))


def _critic(job: _Job) -> _Done:
    inputs, prepared, settings = job.inputs, job.prepared, job.settings
    tokenizer, prompt = prepared.tokenizer, inputs.prompt
    examples = critic_examples(inputs.split.train, inputs.traces.kept)
    watched = critic_examples(inputs.split.validation, inputs.watched_traces.kept)
    asked = [(e.question, e.proposed) for e in watched]
    settings = _answers_only(settings)
    plan = plan_training(examples, lambda e: verdict_example(prompt, e, tokenizer), settings)

    def judged(model: Any, n: int | None = None) -> float:
        batch = settings.validation.batch_size
        return verdict_auroc(watched[:n], judge(model, tokenizer, prompt, asked[:n], batch_size=batch))

    def look(model: Any) -> dict[str, float]:
        found = {"validation_auroc": judged(model, settings.validation.rows)}
        if job.told is not None:
            job.told(found)
        return found

    course = train_sft(prepared, plan, settings, job.folder.path, look=look, progress=job.progress)
    counts = {"examples": plan.examples, "too_long": plan.too_long, "validation_answers": len(watched)}
    return _Done(course, counts, lambda: (None, judged(prepared.model)))


_JOBS: Final = {"sft": _sft, "grpo": _grpo, "critic": _critic}


def _answers_only(settings: TrainSettings) -> TrainSettings:
    """A critic's examples have no ease to be ordered by."""
    shuffled = settings.targets.model_copy(update={"curriculum": "shuffled"})
    return settings.model_copy(update={"targets": shuffled})


def _examples(inputs: _Inputs, settings: TrainSettings) -> list[Example]:
    targets, rows = settings.targets, inputs.split.train
    ease = inputs.traces.share_right()
    if targets.kind == "rationale":
        rng = np.random.default_rng([settings.training.seed, 3])
        return rationale_examples(rows, inputs.traces, most=targets.traces_per_question, rng=rng)
    if targets.kind == "probabilities":
        path = settings.data.probabilities
        soft = None if path is None else read_predictions(path)
        return probability_examples(rows, soft, smoothing=targets.smoothing, ease=ease)
    return answer_examples(rows, ease=ease)


def _looker(job: _Job) -> Looker:
    inputs, settings = job.inputs, job.settings
    rng = np.random.default_rng([settings.training.seed, 1])
    rows = sample_rows(inputs.split.validation, most=settings.validation.rows, rng=rng)
    watched = _watched(rows, job)

    def look(model: Any) -> dict[str, float]:
        seen = watched.look(model)
        found = {
            "validation_de": seen.de,
            "validation_dir": seen.direction,
            "validation_log_loss": seen.log_loss,
            "validation_mass": seen.mass,
        }
        if job.told is not None:
            job.told(found)
        return found

    return look


def _watched(rows: LabelledQuestions, job: _Job) -> Watched:
    batch_size = job.settings.validation.batch_size
    return Watched(rows, job.inputs.prompt, job.prepared.tokenizer, batch_size=batch_size)


def _score(job: _Job) -> ScoreResult:
    """The finished model on all rows held back, with intervals over perturbations and genes."""
    rows = job.inputs.split.validation
    answers, _ = _watched(rows, job).answer(job.prepared.model)
    answers = replace(answers, p_up=np.clip(answers.p_up, 0, 1), p_down=np.clip(answers.p_down, 0, 1))
    write_predictions(job.folder.validation, answers)
    return score_strict(rows, answers, rng=np.random.default_rng(0), n_resamples=N_RESAMPLES)


def _draw(folder: TrainingFolder, *, title: str) -> None:
    history = read_history(folder.history)
    panels = []
    for head, columns in _PANELS:
        curves = []
        for column, name in columns.items():
            if column in history:
                kept = history[["step", column]].dropna()
                curves.append(Curve(name, kept["step"].to_numpy(float), kept[column].to_numpy(float)))
        curves = [curve for curve in curves if len(curve.x)]
        if curves:
            panels.append((head, curves))
    draw_training_curves(folder.curves, panels, title=title)


def _manifest(kind: Kind, job: _Job, *, done: _Done, began: datetime) -> dict[str, Any]:
    inputs, prepared, settings, course = job.inputs, job.prepared, job.settings, done.course
    split = inputs.split
    rows = {"train": len(split.train), "validation": len(split.validation), "left_out": split.left_out}
    traces = {"kept": len(inputs.traces.kept), "right": sum(t.right for t in inputs.traces.kept)}
    traces |= {"unreadable": inputs.traces.unreadable, "other_rows": inputs.traces.other_rows}
    return {
        "kind": kind,
        "settings": settings.model_dump(mode="json"),
        "seed": settings.training.seed,
        "inputs": inputs.hashes,
        "rows": rows,
        "counts": done.counts,
        "traces": traces if settings.data.traces else None,
        "started_from": prepared.identity.as_json(),
        "trainable_parameters": prepared.trainable,
        "device": prepared.device,
        "model": model_files(job.folder.model, name="model").as_json(),
        "course": {
            "steps": course.steps,
            "resumed_at": course.resumed_at,
            "seconds": round(course.seconds, 3),
            "tokens": course.tokens,
        },
        "began": began.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"perturbarena": __version__, "python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("torch", "transformers", "trl", "peft")},
    }
