"""A task of inspect, run to its end with the options that a long run needs; what stops it is one line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.model import Model

from perturbarena.errors import PerturbarenaError
from perturbarena.tracks.running.server import Server

_LOG_FLUSHES: Final = 50
"""inspect copies its whole log at every flush, so flushing at each sample takes time with the square of their
number. The traces are what a killed run resumes from; its log may lack the last fiftieth."""


class ModelRunError(PerturbarenaError):
    """inspect stopped on an error that is neither the server's nor the settings'."""


def evaluate(task: Task, model: Model, *, n: int, logs: Path, server: Server, max_samples: int) -> None:
    """Run a task of ``n`` samples.

    Raises
    ------
    ModelServerError
        If the server refuses every call.
    ModelRunError
        If inspect stops on another error.
    """
    (log,) = inspect_eval(
        task,
        model=model,
        display="none",
        log_dir=str(logs),
        log_format="eval",
        log_realtime=False,
        log_buffer=max(1, math.ceil(n / _LOG_FLUSHES)),
        log_model_api=False,
        log_header_only=True,
        log_level="error",
        max_samples=max_samples,
        fail_on_error=True,
        ctl_server=False,
        score_display=False,
    )
    if server.fatal is not None:
        raise server.fatal
    if log.status == "cancelled":
        raise KeyboardInterrupt
    if log.status != "success":
        message = log.error.message if log.error else log.status
        raise ModelRunError(f"the run stopped: {' '.join(message.split())[:300]} (inspect's log: {log.location})")
