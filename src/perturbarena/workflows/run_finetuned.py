"""Answer questions with a fine-tuned model, here or behind a server, and score at once where they are labelled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.records import Question
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError, InputError
from perturbarena.evaluation import ScoreResult
from perturbarena.tracks.finetune.chat import ChatPrompt, load_prompt
from perturbarena.tracks.finetune.folder import MANIFEST, read_manifest
from perturbarena.tracks.finetune.inference import (
    InferenceSettings,
    Wishes,
    identify_weights,
    resolve_inference,
    weights_digest,
)
from perturbarena.tracks.finetune.models import DType, LoadedModel, ModelIdentity
from perturbarena.tracks.finetune.runner import Answering, Critic, FinetunedPlan, FinetunedResult, run_finetuned
from perturbarena.tracks.prompt import Transport, load_template, shipped_template
from perturbarena.workflows.run_prompt import Asked, file_hash, score_run

Say = Callable[[str], None]
"""Told in a sentence what takes a while."""
SERVER: Final = "server"
N_SHOWN: Final = 2
"""So many prompts a dry run shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Which model answers and where."""

    model: str
    """A folder or a hub's name; with ``base_url`` the name that the server knows it by."""
    adapter: Path | None = None
    """An adapter's folder, put on top."""
    base_url: str | None = None
    """An OpenAI-compatible server's address; none: in this process."""
    weights: Path | None = None
    """The folder whose weights the server has, to be counted and hashed."""
    critic: Path | None = None
    """The folder of a trained critic."""
    device: str | None = None
    """Such as ``cuda:0`` or ``cpu``."""
    dtype: DType = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptChoice:
    """How questions are put; without any of these as the model was trained, else the shipped template."""

    template: Path | None = None
    system: Path | None = None
    """A file with the text of the system message."""
    thinking: bool | None = None

    @property
    def made(self) -> bool:
        """Whether anything was chosen."""
        return self.template is not None or self.system is not None or self.thinking is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run that is ready to begin: everything is checked, nothing is asked."""

    asked: Asked
    challenge: Challenge
    source: ModelSource
    settings: InferenceSettings
    chat: ChatPrompt
    chat_from: str
    """Where the prompt comes from, in words."""
    loaded: LoadedModel | None
    identity: ModelIdentity | None
    critic: Critic | None = None
    training: dict[str, Any] | None = None
    """How the model was trained, as far as its training's folder says."""
    learned_from: bool = False
    """Whether the questions' file is one that the model learned from: its score then says nothing of new rows."""
    inputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnsweredFinetuned:
    """The run, and its score where the questions are labelled."""

    run: FinetunedResult
    score: ScoreResult | None
    unscored: str = ""
    """Why there is no score although there are labels."""


def prepare(
    file: Path,
    asked: Asked,
    source: ModelSource,
    *,
    challenge: Challenge,
    track: str,
    wishes: Wishes,
    prompt: PromptChoice | None = None,
    say: Say = lambda _: None,
) -> Prepared:
    """Load the model (or hash the weights that a server has), count it, and settle how it is asked.

    Raises
    ------
    InputError
        If the model cannot be loaded or is too big, options contradict each other, or a rule is broken.
    """
    prompt = prompt or PromptChoice()
    rules = challenge.track(track)
    limit = None if wishes.unranked else rules.limits.max_parameters
    _check_source(source)
    loaded, identity = _model(source, limit, say)
    critic, critic_digest = _critic(source, limit, say)
    advised = None
    if loaded is not None:
        from perturbarena.tracks.finetune.generate import own_sampling

        advised = own_sampling(loaded.model)
    settings = resolve_inference(
        challenge, track, wishes, model=source.model, identity=identity,
        device=SERVER if loaded is None else str(loaded.model.device),
        dtype="" if loaded is None else str(loaded.model.dtype).removeprefix("torch."),
        advised=advised, critic=critic_digest,
    )  # fmt: skip
    trained_in = source.weights if loaded is None else loaded.folder
    trained = None if trained_in is None else load_prompt(trained_in)
    chat, chat_from = _chat(prompt, trained, settings, challenge)
    training = None if trained_in is None else _training(trained_in)
    inputs = {"questions": file_hash(file)} | {
        name: file_hash(path)
        for name, path in (("template", prompt.template), ("system", prompt.system))
        if path is not None
    }
    return Prepared(
        asked=asked, challenge=challenge, source=source, settings=settings, chat=chat, chat_from=chat_from,
        loaded=loaded, identity=identity, critic=critic, training=training, inputs=inputs,
        learned_from=inputs["questions"]["sha256"] in (training or {}).get("inputs", {}).values(),
    )  # fmt: skip


def answer_finetuned(
    ready: Prepared,
    folder: Path,
    *,
    transport: Transport | None = None,
    patience: float | None = None,
    ask_unanswered: bool = False,
    resamples: int = 2_000,
    quiet: bool = False,
) -> AnsweredFinetuned:
    """Run, then score against the file's own labels."""
    asked, settings = ready.asked, ready.settings
    plan = FinetunedPlan(
        questions=asked.questions, chat=ready.chat, challenge=ready.challenge, settings=settings,
        model=_model_record(ready), critic=ready.critic, shard=asked.shard, inputs=ready.inputs,
        ask_unanswered=ask_unanswered,
    )  # fmt: skip
    if not len(asked.questions):
        raise InputError("there are no questions to ask")
    run = run_finetuned(plan, _answering(ready, transport, patience), folder, quiet=quiet)
    if asked.labelled is None:
        return AnsweredFinetuned(run, None)
    score, unscored = score_run(
        run.folder.predictions, asked, challenge=ready.challenge, track=settings.track, resamples=resamples
    )
    return AnsweredFinetuned(run, score, unscored)


@dataclass(frozen=True, slots=True)
class FinetunedDryRun:
    """What a run would ask."""

    prompts: Sequence[tuple[Question, str, int | None]]
    """Question, what the model reads, its tokens (None where only a server counts)."""
    n_questions: int
    longest: tuple[str, int] | None
    """Id and tokens of the longest prompt."""
    input_tokens: int | None
    positions: int | None
    """Tokens that the model can hold."""
    ready: Prepared

    def as_json(self) -> dict[str, Any]:
        """The figures and the prompts."""
        from perturbarena.tracks.finetune.inference import settings_as_json

        return {
            "prompts": [{"id": q.id, "prompt": text, "tokens": n} for q, text, n in self.prompts],
            "n_questions": self.n_questions,
            "longest": None if self.longest is None else {"id": self.longest[0], "tokens": self.longest[1]},
            "input_tokens": self.input_tokens,
            "positions": self.positions,
            "prompt_from": self.ready.chat_from,
            "model": _model_record(self.ready),
            "settings": settings_as_json(self.ready.settings),
        }


def dry_finetuned(ready: Prepared) -> FinetunedDryRun:
    """Tokens of every prompt; nothing is asked."""
    from itertools import islice

    questions = ready.asked.questions
    shown = list(islice(questions, N_SHOWN))
    if ready.loaded is None:
        from perturbarena.tracks.finetune.serve import chat_text

        texts = [(q, chat_text(ready.chat, q), None) for q in shown]
        return FinetunedDryRun(texts, len(questions), None, None, None, ready)
    tokenizer = ready.loaded.tokenizer
    counts = {q.id: len(ready.chat.ids(q, tokenizer)) for q in questions}
    longest = max(counts.items(), key=lambda pair: pair[1], default=None)
    positions = getattr(ready.loaded.model.config, "max_position_embeddings", None)
    prompts = [(q, ready.chat.text(q, tokenizer), counts[q.id]) for q in shown]
    total = sum(counts.values()) * ready.settings.samples
    return FinetunedDryRun(prompts, len(questions), longest, total, positions, ready)


def _check_source(source: ModelSource) -> None:
    if source.base_url is None and source.weights is not None:
        raise InputError("--weights names what a server has loaded; it goes with --base-url")
    if source.base_url is not None and (source.adapter is not None or source.device is not None):
        raise InputError("--adapter and --device are for a model in this process; leave out --base-url")


def _model(source: ModelSource, limit: int | None, say: Say) -> tuple[LoadedModel | None, ModelIdentity | None]:
    from perturbarena.tracks.finetune.models import load_model

    if source.base_url is not None:
        if source.weights is None:
            return None, None
        say(f"hashing {source.weights}")
        return None, identify_weights(source.weights, max_parameters=limit)
    say(f"loading {source.model}")
    loaded = load_model(
        source.model, adapter=source.adapter, device=source.device, dtype=source.dtype, max_parameters=limit
    )
    return loaded, loaded.identity


def _critic(source: ModelSource, limit: int | None, say: Say) -> tuple[Critic | None, str | None]:
    if source.critic is None:
        return None, None
    from perturbarena.tracks.finetune.critic import load_critic
    from perturbarena.tracks.finetune.models import check_parameters

    say(f"loading the critic {source.critic}")
    critic = load_critic(source.critic, device=source.device)
    check_parameters(critic.loaded.identity.parameters, limit, f"the critic {source.critic}")
    return critic, f"{weights_digest(critic.loaded.identity)}+{critic.prompt.digest}"


def _chat(
    prompt: PromptChoice, trained: ChatPrompt | None, settings: InferenceSettings, challenge: Challenge
) -> tuple[ChatPrompt, str]:
    if trained is not None and not prompt.made:
        return trained, "the model's own prompt.json, as it was trained"
    usual = "stated" if settings.answers == "stated" else "letter"
    template = shipped_template(usual) if prompt.template is None else load_template(prompt.template)
    system = "" if prompt.system is None else _text(prompt.system)
    chat = ChatPrompt.of(template, challenge=challenge, system=system, thinking=prompt.thinking)
    where = f"template {template.source}"
    if trained is not None and trained.digest != chat.digest:
        where += "; NOT the prompt that the model was trained with"
    return chat, where


def _training(folder: Path) -> dict[str, Any] | None:
    """What the manifest of the model's training says of its data; None for a model that came from elsewhere."""
    above = folder if (folder / MANIFEST).is_file() else folder.parent
    if not (above / MANIFEST).is_file():
        return None
    try:
        manifest = read_manifest(above)
    except FormatError:  # another program's file of this name
        return None
    return {name: manifest.get(name) for name in ("kind", "inputs", "rows", "counts", "seed", "started_from")}


def _text(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    try:
        return path.read_bytes().decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text; byte {error.start} is not") from error


def _answering(ready: Prepared, transport: Transport | None, patience: float | None) -> Answering:
    if ready.loaded is not None:
        from perturbarena.tracks.finetune.local import LocalModel

        return LocalModel(ready.loaded, ready.chat, ready.settings, ready.asked.questions)
    from perturbarena.tracks.finetune.serve import ServerModel

    waits = {} if patience is None else {"patience": patience}
    reached = transport or Transport(base_url=ready.source.base_url)
    return ServerModel(ready.source.model, ready.chat, ready.settings, reached, **waits)


def _model_record(ready: Prepared) -> dict[str, Any]:
    named = {"asked_as": ready.source.model, "counted_from_weights": ready.identity is not None}
    known = {} if ready.identity is None else ready.identity.as_json()
    return named | known | {"training": ready.training, "learned_from_these_questions": ready.learned_from}
