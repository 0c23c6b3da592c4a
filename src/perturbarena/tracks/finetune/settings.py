"""Everything that decides a training, in one TOML file that people can read and edit.

Files for common models ship with the package and are named without ``.toml``. Paths in a file are relative to it.
What comes out is resolved: every key has a value and goes into the training's manifest.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from perturbarena.errors import InputError
from perturbarena.tracks.finetune.models import DType
from perturbarena.tracks.finetune.tiny import TinySettings

TINY: Final = "tiny"
"""As a model's name: a small model made on the spot."""
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
RewardName = Literal["format", "correct", "proper", "length"]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class LoraSettings(_Settings):
    """The adapter (Hu et al. 2021, https://doi.org/10.48550/arXiv.2106.09685)."""

    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    """Rank of the update of each weight matrix."""
    alpha: Positive = 32.0
    """Its scale is alpha / rank."""
    dropout: Share = 0.0
    """Dropout before the update."""
    targets: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get one."""


class ModelChoice(_Settings):
    """Which model is trained, and what of it."""

    name: str
    """A folder, a name on the model hub, or "tiny": a small random model made on the spot."""
    adapter: str | None = None
    """An adapter to go on from, such as the one of an SFT before GRPO."""
    method: Literal["lora", "qlora", "full"] = "lora"
    """An adapter, an adapter on a base of four bits, or all weights."""
    dtype: DType = "auto"
    """Of the weights; auto: bfloat16 on a GPU, float32 on a CPU."""
    lora: LoraSettings = LoraSettings()
    """The adapter's size."""
    tiny: TinySettings = TinySettings()
    """Size of the model made on the spot."""


class DataSettings(_Settings):
    """What is learned from: training rows alone."""

    train: str | None = None
    """CSV with id, pert, gene, label; --train stands in for it."""
    challenge: str = "bioreasoning-2026"
    """Rules: a bundled challenge or a rules file."""
    track: str = "C"
    """Track of these rules."""
    traces: tuple[str, ...] = ()
    """Recorded answers to training rows: run folders, or CSVs with an id and a column of texts."""
    trace_column: str = "reasoning_trace"
    """The CSVs' column of texts."""
    probabilities: str | None = None
    """CSV id, prediction_up, prediction_down with out-of-fold answers to training rows, for soft targets."""


class PromptChoice(_Settings):
    """How questions are put."""

    template: str = "letter"
    """A shipped template ("letter", "stated") or a file."""
    system: str = ""
    """System message; empty for none."""
    thinking: bool | None = None
    """Handed to the chat template as enable_thinking."""


class TargetSettings(_Settings):
    """What the model learns to write."""

    kind: Literal["answer", "rationale", "probabilities"] = "answer"
    """The answer alone, a recorded reasoning that ends in the right answer, or stated probabilities."""
    balance: Literal["as_is", "classes"] = "as_is"
    """Rows as they come, or up, down and none equally often (rows of rarer ones repeat)."""
    curriculum: Literal["shuffled", "moved_first", "easy_first"] = "shuffled"
    """Order in each pass: random; moved rows before unmoved ones; by the share of right traces, highest first."""
    traces_per_question: Count = 4
    """Recorded traces kept for one question at most."""
    smoothing: Share = 0.1
    """Weight, in stated probabilities, of the soft answers (data.probabilities, or the labels' shares)."""


class ValidationSettings(_Settings):
    """Rows held back to watch the training: none of their perturbations and genes is trained on."""

    folds: Annotated[int, Field(ge=2, le=50)] = 4
    """Perturbations and genes are dealt into so many groups; one group of each is held back."""
    every: Count = 50
    """Steps between two looks."""
    rows: Annotated[int, Field(ge=1)] = 500
    """Rows looked at, at most; the last look takes all."""
    batch_size: Count = 16
    """Questions scored at once."""


class TrainingSettings(_Settings):
    """How the weights move."""

    steps: Count | None = None
    """Updates; without, as many as the epochs take."""
    epochs: Positive = 2.0
    """Passes over the examples, where steps are not given."""
    learning_rate: Positive = 1e-4
    """Highest learning rate of AdamW."""
    schedule: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "cosine"
    """Of the learning rate."""
    warmup: Share = 0.05
    """Share of the steps over which the rate rises."""
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    """AdamW's."""
    max_grad_norm: Positive = 1.0
    """Gradients are cut to this norm."""
    batch_size: Count = 8
    """Examples on the device at once."""
    accumulate: Count = 2
    """Batches in one update."""
    max_tokens: Count = 2048
    """A longer example is left out, and counted."""
    packing: bool = False
    """Put several examples into one row of max_tokens (needs a model that keeps packed texts apart)."""
    gradient_checkpointing: bool = True
    """Trade a third more time for the memory of activations."""
    log_every: Count = 5
    """Steps between two lines of the history."""
    checkpoint_every: Count = 100
    """Steps between two checkpoints to resume from."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Of folds, order, adapter and samples."""
    report_to: tuple[Literal["trackio", "tensorboard"], ...] = ()
    """Further places for the curves, if installed."""


class RewardSettings(_Settings):
    """One reward and its weight."""

    name: RewardName
    """See the rewards' page of the documentation."""
    weight: Positive = 1.0
    """Its weight in the sum."""


class GrpoSettings(_Settings):
    """Reinforcement learning (Shao et al. 2024, https://doi.org/10.48550/arXiv.2402.03300)."""

    rewards: Annotated[tuple[RewardSettings, ...], Field(min_length=1)] = (
        RewardSettings(name="correct"),
        RewardSettings(name="format", weight=0.5),
    )
    """What is rewarded; the sum counts."""
    samples: Annotated[int, Field(ge=2, le=256)] = 8
    """Answers to each question, compared with one another."""
    max_new_tokens: Annotated[int, Field(ge=1, le=16_000)] = 1024
    """Longest answer."""
    good_tokens: Count = 512
    """The reward length takes nothing off up to here."""
    temperature: Positive = 1.0
    """Of sampling."""
    beta: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the divergence from the model at the start; 0 needs no second copy of it."""
    scale: Literal["batch", "group", "none"] = "batch"
    """What advantages are divided by; within a group ("group") the weights of classes cancel out."""
    vllm: bool = False
    """Sample with vLLM, where installed."""


class TrainSettings(_Settings):
    """How a model is trained."""

    format_version: Literal[1] = 1
    """Version of this file's format."""
    model: ModelChoice
    """The model."""
    data: DataSettings = DataSettings()
    """Training rows."""
    prompt: PromptChoice = PromptChoice()
    """The prompt."""
    targets: TargetSettings = TargetSettings()
    """What to write."""
    validation: ValidationSettings = ValidationSettings()
    """Rows to watch."""
    training: TrainingSettings = TrainingSettings()
    """Optimisation."""
    grpo: GrpoSettings = GrpoSettings()
    """For train grpo alone."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.targets.kind == "rationale" and not self.data.traces:
            raise ValueError("targets.kind rationale needs data.traces")
        if self.targets.curriculum == "easy_first" and not self.data.traces:
            raise ValueError("targets.curriculum easy_first needs data.traces")
        return self


def bundled_settings() -> tuple[str, ...]:
    """Names of the settings that ship, sorted."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in _shipped().iterdir() if f.name.endswith(".toml")))


def bundled_text(name: str) -> str:
    """The text of a shipped settings file."""
    return _shipped().joinpath(f"{name}.toml").read_text("utf-8")


def load_settings(name: str, **overrides: str | None) -> TrainSettings:
    """Settings from a file or a shipped one; its paths become paths from here.

    Parameters
    ----------
    name
        A file's path, or a shipped file's name.
    overrides
        ``train`` and ``model`` stand in for ``data.train`` and ``model.name``; None changes nothing.

    Raises
    ------
    InputError
        If there is no such file, or a key or value is wrong; the message names file and key.
    """
    path = Path(name)
    try:
        if not path.is_file() and name in bundled_settings():
            raw = tomllib.loads(bundled_text(name))
        else:
            raw = _beside(tomllib.loads(path.read_text("utf-8-sig")), path.parent)
    except OSError as error:
        known = ", ".join(bundled_settings())
        raise InputError(f"the settings {name} cannot be read: {error.strerror}; shipped: {known}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{name} must be UTF-8 text; byte {error.start} is not") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is not TOML: {error}") from error
    for table, key, value in (
        ("data", "train", overrides.get("train")),
        ("model", "name", overrides.get("model")),
    ):
        if value is not None:
            raw.setdefault(table, {})[key] = value
    try:
        return TrainSettings.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{name}: {_first(error)}") from error


def _shipped() -> Any:
    return resources.files("perturbarena.tracks.finetune") / "settings"


def _beside(raw: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Paths relative to the file become paths relative to here, wherever something is there."""

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(one) for one in value]
        there = folder / value if isinstance(value, str) else None
        return str(there) if there is not None and value and there.exists() else value

    places = {"data": ("train", "traces", "probabilities", "challenge"), "model": ("name", "adapter")}
    for table, keys in (places | {"prompt": ("template",)}).items():
        own = raw.get(table)
        if isinstance(own, dict):
            raw[table] = own | {key: moved(own[key]) for key in keys if key in own}
    return raw


def _first(error: ValidationError) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    if first["type"] == "extra_forbidden":
        text = f"unknown key {key}"
    elif first["type"] == "missing":
        text = f"the key {key} is missing"
    else:
        text = f"{key}: {first['msg'].removeprefix('Value error, ')}"
        if first["type"] != "value_error" and not isinstance(first["input"], dict):
            text += f"; got {first['input']!r}"
    more = len(problems) - 1
    return text + (f" (and {more} more)" if more else "")
