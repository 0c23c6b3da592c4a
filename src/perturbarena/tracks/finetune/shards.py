"""Shards of one run of a fine-tuned model → one run folder, as if one process had asked every question.

In another shard a question has other company in its batch, so that likelihoods may differ in their last digits
from those of a run in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perturbarena.challenge.formats import write_json
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import InputError
from perturbarena.tracks.finetune.inference import InferenceSettings
from perturbarena.tracks.finetune.runner import KIND
from perturbarena.tracks.finetune.table import write_finetuned_table
from perturbarena.tracks.prompt.merge import finished_run, free_folder, join_traces, same_settings
from perturbarena.tracks.prompt.table import Tally
from perturbarena.tracks.running.folder import RunFolder

_SHARED: Final = (
    "format_version", "kind", "ranked", "settings", "model_name", "model", "critic", "rules", "prompt", "files",
)  # fmt: skip
"""Of one run only what the shards share holds for the whole."""


def merge_finetuned(folders: Sequence[Path], output: Path, *, challenge: Challenge) -> Tally:
    """Merge finished runs that share every setting; shards ``1/n … n/n`` come back in the questions' own order.

    Raises
    ------
    InputError
        If there are fewer than two folders, the output exists, settings or prompts differ, or a question stands in
        two.
    FormatError
        If a folder holds no finished run of a fine-tuned model.
    """
    if len(folders) < 2:
        raise InputError("run merge needs at least two run folders")
    merged = free_folder(output)
    manifests = [finished_run(RunFolder(folder), kind=KIND) for folder in folders]
    same_settings(folders, manifests)
    for folder, other in zip(folders[1:], manifests[1:], strict=True):
        if other["prompt"] != manifests[0]["prompt"]:
            raise InputError(f"{folder} has another prompt than {folders[0]}")
    raw = manifests[0]["settings"]
    settings = InferenceSettings(**raw | {"unanswered": tuple(raw["unanswered"])})
    if challenge.name != settings.challenge:
        raise InputError(f"the runs belong to the challenge {settings.challenge}; got {challenge.name}")
    id_column = challenge.track(settings.track).column("id").name
    order = join_traces(folders, manifests, merged, id_column=id_column)
    at = merged.positions()
    traces = merged.read([at[id_] for id_ in order])
    tally = write_finetuned_table(merged.predictions, traces, challenge=challenge, settings=settings)
    parts = [
        {"folder": folder.name, **{k: m[k] for k in ("shard", "inputs", "reached", "last_start")}}
        for folder, m in zip(folders, manifests, strict=True)
    ]
    shared = {name: manifests[0][name] for name in _SHARED}
    write_json(merged.manifest, shared | {"counts": tally.as_json(), "merged_from": parts})
    return tally
