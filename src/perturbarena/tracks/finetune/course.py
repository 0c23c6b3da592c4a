"""What every training does alike: arguments, looks at validation rows, history, checkpoints, resuming.

A killed training goes on from its last whole checkpoint. Checkpoints hold weights, optimiser, schedule, random
states and the log, and the order of examples is fixed by the seed, so on one machine a resumed training takes the
course that it would have taken.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perturbarena.errors import MissingExtraError
from perturbarena.tracks.finetune.history import write_history
from perturbarena.tracks.finetune.quiet import quiet_loading
from perturbarena.tracks.finetune.settings import TrainingSettings

if TYPE_CHECKING:
    from transformers import Trainer, TrainerCallback

CHECKPOINTS: Final = "checkpoints"
HISTORY: Final = "history.csv"
Progress = Callable[[int, int], None]
"""Told (steps done, steps in all)."""
Looker = Callable[[Any], dict[str, float]]
"""Given the model, what to log of it at this moment."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a training went. ``log`` is the trainer's; ``resumed_at`` the step it went on from, or 0."""

    log: list[dict[str, Any]]
    steps: int
    resumed_at: int
    seconds: float
    tokens: int
    """Tokens read by this start, padding included where the trainer counts it."""


def common_arguments(settings: TrainingSettings, folder: Path, *, device: str, steps: int) -> dict[str, Any]:
    """Arguments of transformers' trainer that all trainings share."""
    on_gpu = device.startswith("cuda")
    _check_reporters(settings.report_to)
    return {
        "output_dir": str(folder / CHECKPOINTS),
        "max_steps": steps,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulate,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": round(settings.warmup * steps),
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        _checkpointing(): settings.gradient_checkpointing,
        "logging_steps": settings.log_every,
        "save_strategy": "steps",
        "save_steps": settings.checkpoint_every,
        "save_total_limit": 2,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "bf16": on_gpu,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        "report_to": list(settings.report_to) or "none",
        "disable_tqdm": True,
        "optim": "adamw_torch",
        "push_to_hub": False,
        "train_sampling_strategy": "sequential",
    }


def run_course(
    trainer: Trainer, folder: Path, *, look: Looker | None, every: int, progress: Progress | None = None
) -> Course:
    """Train to the end, from the last checkpoint where there is one."""
    from transformers import PrinterCallback, ProgressCallback

    for printer in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(printer)
    trainer.add_callback(_watcher(trainer, folder, look=look, every=every, progress=progress))
    last = last_checkpoint(folder)
    resumed_at = 0 if last is None else int(last.name.rpartition("-")[2])
    with quiet_loading():
        result = trainer.train(resume_from_checkpoint=None if last is None else str(last))
    log = list(trainer.state.log_history)
    write_history(folder / HISTORY, _courses(log))
    tokens = int(next((e["num_tokens"] for e in reversed(log) if "num_tokens" in e), 0))
    seconds = float(result.metrics.get("train_runtime", float("nan")))
    return Course(_courses(log), int(trainer.state.global_step), resumed_at, seconds, tokens)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; what a kill left unfinished is removed."""
    found: list[tuple[int, Path]] = []
    for path in (folder / CHECKPOINTS).glob("checkpoint-*"):
        try:
            state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            found.append((int(state["global_step"]), path))
        except (OSError, ValueError, KeyError, TypeError):
            shutil.rmtree(path, ignore_errors=True)
    return max(found)[1] if found else None


def _courses(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The log without the summary that the trainer appends at the end."""
    return [entry for entry in log if "train_runtime" not in entry]


def _watcher(
    trainer: Trainer, folder: Path, *, look: Looker | None, every: int, progress: Progress | None
) -> TrainerCallback:
    from transformers import TrainerCallback

    class Watcher(TrainerCallback):
        """Looks at the model at step 0, at every ``every``-th step and at the last; writes the history."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, kwargs
            self._tell(state)
            if state.global_step == 0:
                self._look(control)

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, kwargs
            self._tell(state)
            if state.global_step % every == 0 or state.global_step == state.max_steps:
                self._look(control)

        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, control, kwargs
            write_history(folder / HISTORY, _courses(state.log_history))

        def _look(self, control: Any) -> None:
            if look is not None:
                due = control.should_log
                # the base class, for the trainers' own log would reset their running means
                _base_log(trainer, look(trainer.model))
                control.should_log = due  # logging takes the flag off, and the loss of this step is still to come

        def _tell(self, state: Any) -> None:
            if progress is not None:
                progress(state.global_step, state.max_steps)

    return Watcher()


def _base_log(trainer: Trainer, entry: dict[str, float]) -> None:
    from transformers import Trainer

    Trainer.log(trainer, entry)


def _checkpointing() -> str:
    """What the trainer's argument is called: it was renamed within transformers 5."""
    from transformers import TrainingArguments

    renamed = "activation_checkpointing" in TrainingArguments.__dataclass_fields__
    return "activation_checkpointing" if renamed else "gradient_checkpointing"


def _check_reporters(names: tuple[str, ...]) -> None:
    import importlib.util

    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(f"training.report_to names {name}, which is not installed: pip install {name}")
