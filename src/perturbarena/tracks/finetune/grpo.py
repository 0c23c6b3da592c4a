"""Reinforcement learning by GRPO: answers to one question are compared with one another, and better ones favoured.

Group relative policy optimisation: Shao et al. 2024, https://doi.org/10.48550/arXiv.2402.03300. Rewards weigh
rarer labels more, and advantages are by default not divided by each group's own spread: all answers of a group
belong to one label, so that division would cancel the labels' weights, and always answering "no change" would pay.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perturbarena.challenge.records import LabelledQuestions
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.chat import ChatPrompt
from perturbarena.tracks.finetune.course import Course, Looker, Progress, common_arguments, run_course
from perturbarena.tracks.finetune.examples import Example, answer_examples, ordered
from perturbarena.tracks.finetune.preparation import Prepared
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.finetune.rewards import label_weights, trainer_reward
from perturbarena.tracks.finetune.settings import TrainSettings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def check_grpo(settings: TrainSettings) -> None:
    """Raise InputError where a batch does not hold whole groups of answers."""
    training, samples = settings.training, settings.grpo.samples
    update = training.batch_size * training.accumulate
    if update % samples:
        raise InputError(
            f"training.batch_size × training.accumulate must be a multiple of grpo.samples; got "
            f"{training.batch_size} × {training.accumulate} = {update} and {samples}"
        )


def train_grpo(
    prepared: Prepared,
    rows: LabelledQuestions,
    prompt: ChatPrompt,
    settings: TrainSettings,
    folder: Path,
    *,
    look: Looker | None,
    progress: Progress | None = None,
) -> Course:
    """Train ``prepared.model`` in place to earn the settings' rewards on these rows.

    Raises
    ------
    InputError
        If a batch does not hold whole groups, or the trainer would read a prompt as other tokens.
    """
    check_grpo(settings)
    trainer = _trainer(prepared, rows, prompt, settings, folder)
    return run_course(trainer, folder, look=look, every=settings.validation.every, progress=progress)


def _trainer(
    prepared: Prepared, rows: LabelledQuestions, prompt: ChatPrompt, settings: TrainSettings, folder: Path
) -> Any:
    import datasets
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    grpo, training = settings.grpo, settings.training
    order, steps = _plan(rows, settings)
    arguments = common_arguments(training, folder, device=prepared.device, steps=steps)
    arguments.pop("train_sampling_strategy")  # groups of equal prompts need the trainer's own sampler
    config = GRPOConfig(
        **arguments,
        shuffle_dataset=False,
        num_generations=grpo.samples,
        max_completion_length=grpo.max_new_tokens,
        temperature=grpo.temperature,
        beta=grpo.beta,
        scale_rewards=grpo.scale,
        reward_weights=[reward.weight for reward in grpo.rewards],
        use_vllm=grpo.vllm,
        steps_per_generation=training.accumulate,
    )
    weights = label_weights(rows.label)
    rewards = [
        trainer_reward(r.name, weights=weights, good_tokens=grpo.good_tokens, max_tokens=grpo.max_new_tokens)
        for r in grpo.rewards
    ]
    texts = [_as_read(prompt, example, prepared.tokenizer) for example in order]
    data = datasets.Dataset.from_dict({"prompt": texts, "label": [example.label for example in order]})
    with quiet_loading():
        return GRPOTrainer(
            model=prepared.model,
            reward_funcs=rewards,
            args=config,
            train_dataset=data,
            processing_class=prepared.tokenizer,
        )


def _plan(rows: LabelledQuestions, settings: TrainSettings) -> tuple[list[Example], int]:
    """The questions in the order of training, and the number of updates."""
    training = settings.training
    examples = answer_examples(rows)
    questions = training.batch_size * training.accumulate // settings.grpo.samples
    once = len(ordered(examples, settings.targets, epochs=1, rng=np.random.default_rng(0)))
    steps = training.steps or max(1, math.ceil(training.epochs * once / questions))
    rng = np.random.default_rng([training.seed, 2])
    order = ordered(examples, settings.targets, epochs=math.ceil(steps * questions / once), rng=rng)
    return order[: steps * questions], steps


def _as_read(prompt: ChatPrompt, example: Example, tokenizer: PreTrainedTokenizerBase) -> str:
    """The prompt's text such that the trainer, which may add special tokens, reads the very same tokens."""
    text = prompt.text(example.question, tokenizer)
    wanted = prompt.ids(example.question, tokenizer)
    for candidate in (text, text.removeprefix(str(tokenizer.bos_token or ""))):
        if list(tokenizer(text=candidate)["input_ids"]) == wanted:  # pyright: ignore[reportArgumentType]
            return candidate
    raise InputError(
        f"the tokenizer adds tokens to the prompt of {example.question.id}, which training would learn"
    )
