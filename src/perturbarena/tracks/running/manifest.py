"""The part of a run's manifest that says which model answered, how it was reached, and with which versions."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import datetime
from typing import Any

from perturbarena import __version__
from perturbarena.challenge.rules import Challenge
from perturbarena.tracks.running.endpoint import ModelSettings, Transport
from perturbarena.tracks.running.folder import FORMAT_VERSION, RunFolder
from perturbarena.tracks.running.progress import Progress
from perturbarena.tracks.running.tokens import token_counter


def common_manifest(
    kind: str,
    settings: ModelSettings,
    transport: Transport,
    *,
    challenge: Challenge,
    began: datetime,
    progress: Progress,
    run: RunFolder,
) -> dict[str, Any]:
    """What the manifest of every run of a model holds."""
    import inspect_ai

    fixed = challenge.track(settings.track).model.fixed
    return {
        "format_version": FORMAT_VERSION,
        "kind": kind,
        "ranked": settings.ranked,
        "settings": asdict(settings),
        "model_name": settings.model_name,
        "model_is_the_tracks": fixed is None or _tail(settings.model_name) == _tail(fixed),
        "transport": asdict(transport),
        "last_start": progress.account(began),
        "prompt_tokens_checked_before": token_counter(settings.model).exact,
        "versions": {
            "perturbarena": __version__,
            "inspect_ai": inspect_ai.__version__,
            "python": platform.python_version(),
        },
        "files": {
            "predictions": run.predictions.name,
            "prompt": run.prompt.name,
            "traces": "traces/answers.jsonl",
        },
    }


def _tail(name: str) -> str:
    return name.rsplit("/", 1)[-1].casefold()
