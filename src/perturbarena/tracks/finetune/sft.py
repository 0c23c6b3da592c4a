"""Supervised fine-tuning: the model learns to write given answers; the loss is on what it writes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from perturbarena.errors import InputError
from perturbarena.tracks.finetune.chat import Encoded
from perturbarena.tracks.finetune.course import Course, Looker, Progress, common_arguments, run_course
from perturbarena.tracks.finetune.examples import Example, ordered
from perturbarena.tracks.finetune.preparation import Prepared
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.finetune.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class Plan:
    """The examples in the order of training, as tokens; ``too_long`` different ones were left out."""

    rows: list[Encoded]
    steps: int
    examples: int
    too_long: int


def plan_training(
    examples: Sequence[Example], encode: Callable[[Example], Encoded], settings: TrainSettings
) -> Plan:
    """Order the examples over all passes and count the steps; ``encode`` turns each into tokens, once.

    Raises
    ------
    InputError
        If there are no examples, or all are longer than ``training.max_tokens``.
    """
    training = settings.training
    tokens = [encode(example) for example in examples]
    fit = [i for i, one in enumerate(tokens) if len(one.prompt) + len(one.completion) <= training.max_tokens]
    if not fit:
        longest = max((len(one.prompt) + len(one.completion) for one in tokens), default=0)
        raise InputError(
            f"no example fits into training.max_tokens = {training.max_tokens:,}; {len(examples):,} examples, the "
            f"longest has {longest:,} tokens"
        )
    of_example = {id(examples[i]): tokens[i] for i in fit}
    kept = [examples[i] for i in fit]
    rng = np.random.default_rng([training.seed, 2])
    update = training.batch_size * training.accumulate
    once = len(ordered(kept, settings.targets, epochs=1, rng=np.random.default_rng(0)))
    steps = training.steps or max(1, math.ceil(training.epochs * once / update))
    passes = math.ceil(training.epochs) if training.packing else math.ceil(steps * update / once)
    order = ordered(kept, settings.targets, epochs=passes, rng=rng)
    if not training.packing:
        order = order[: steps * update]
    return Plan([of_example[id(e)] for e in order], steps, len(kept), len(examples) - len(kept))


def train_sft(
    prepared: Prepared,
    plan: Plan,
    settings: TrainSettings,
    folder: Path,
    *,
    look: Looker | None,
    progress: Progress | None = None,
) -> Course:
    """Train ``prepared.model`` in place on a plan; see :mod:`perturbarena.tracks.finetune.course`."""
    trainer = build_trainer(prepared, plan, settings, folder)
    return run_course(trainer, folder, look=look, every=settings.validation.every, progress=progress)


def build_trainer(prepared: Prepared, plan: Plan, settings: TrainSettings, folder: Path) -> Any:
    """TRL's trainer over rows that are tokens already, in their order."""
    import datasets
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    training = settings.training
    arguments = common_arguments(training, folder, device=prepared.device, steps=plan.steps)
    if training.packing and training.steps is None:
        arguments |= {"max_steps": -1, "num_train_epochs": 1, "warmup_steps": 0}
    data = datasets.Dataset.from_dict(
        {"input_ids": [row.input_ids for row in plan.rows], "labels": [row.labels for row in plan.rows]}
    )
    datasets.disable_progress_bars()
    config = SFTConfig(
        **arguments,
        max_length=training.max_tokens if training.packing else None,
        packing=training.packing,
        completion_only_loss=False,  # the labels are masked already
        dataset_kwargs=None if training.packing else {"skip_prepare_dataset": True},
    )
    with quiet_loading():
        return SFTTrainer(
            model=prepared.model, args=config, train_dataset=data, processing_class=prepared.tokenizer
        )
