"""Merge the shards of one run, whichever way it was asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perturbarena.challenge.rules import Challenge
from perturbarena.tracks.finetune.runner import KIND
from perturbarena.tracks.finetune.shards import merge_finetuned
from perturbarena.tracks.prompt.merge import finished_run, merge_runs
from perturbarena.tracks.prompt.table import Tally
from perturbarena.tracks.running.folder import RunFolder


def merge_shards(folders: Sequence[Path], output: Path, *, challenge: Challenge) -> Tally:
    """Merge the shards of a prompt run, or of a run of a fine-tuned model: what the first folder holds decides.

    Raises
    ------
    InputError
        If the folders do not belong together; see :func:`merge_runs` and :func:`merge_finetuned`.
    """
    first = finished_run(RunFolder(folders[0])) if folders else {}
    merge = merge_finetuned if first.get("kind") == KIND else merge_runs
    return merge(folders, output, challenge=challenge)
