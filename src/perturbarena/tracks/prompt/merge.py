"""Shards of one run → one run folder, as if one process had asked every question."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from perturbarena.challenge.formats import atomic, read_table, write_json
from perturbarena.challenge.rules import Challenge
from perturbarena.errors import FormatError, InputError
from perturbarena.tracks.prompt.settings import PromptSettings
from perturbarena.tracks.prompt.table import Tally, write_run_table
from perturbarena.tracks.running.folder import FORMAT_VERSION, RunFolder

_OWN: Final = ("shard", "questions", "prompts_sha256")
"""Settings in which shards of one run differ."""


def merge_runs(folders: Sequence[Path], output: Path, *, challenge: Challenge) -> Tally:
    """Merge finished runs that share every setting; shards ``1/n … n/n`` come back in the questions' own order.

    Raises
    ------
    InputError
        If there are fewer than two folders, the output exists, settings differ, or a question stands in two.
    FormatError
        If a folder holds no finished run.
    """
    if len(folders) < 2:
        raise InputError("run merge needs at least two run folders")
    merged = free_folder(output)
    manifests = [finished_run(RunFolder(folder), kind="prompt") for folder in folders]
    same_settings(folders, manifests)
    for folder, other in zip(folders[1:], manifests[1:], strict=True):
        if other["prompts"]["source"] != manifests[0]["prompts"]["source"]:
            raise InputError(f"{folder} has other prompts than {folders[0]}")
    settings = PromptSettings(**_as_tuples(manifests[0]["settings"]))
    if challenge.name != settings.challenge:
        raise InputError(f"the runs belong to the challenge {settings.challenge}; got {challenge.name}")
    at = join_traces(folders, manifests, merged, id_column=challenge.track(settings.track).column("id").name)
    merged.logs.mkdir(exist_ok=True)
    for log in (log for folder in folders for log in sorted(RunFolder(folder).logs.glob("*.eval"))):
        shutil.copyfile(log, merged.logs / log.name)
    positions = merged.positions()
    tally = write_run_table(
        merged.predictions, merged.read([positions[id_] for id_ in at]), challenge=challenge, settings=settings
    )
    # of one run only what the shards share holds for the whole
    shared = ("kind", "ranked", "settings", "model_name", "model_is_the_tracks", "versions", "files")
    parts = [
        {"folder": folder.name, **{k: m[k] for k in ("shard", "prompts", "inputs", "last_start")}}
        for folder, m in zip(folders, manifests, strict=True)
    ]
    counts = {"format_version": FORMAT_VERSION, "counts": tally.as_json(), "merged_from": parts}
    write_json(merged.manifest, {name: manifests[0][name] for name in shared} | counts)
    return tally


def free_folder(output: Path) -> RunFolder:
    """The folder to write; InputError where it holds a run."""
    merged = RunFolder(output)
    if merged.manifest.exists() or merged.traces.exists():
        raise InputError(f"{output} holds a run already; choose another folder (-o)")
    return merged


def finished_run(run: RunFolder, *, kind: str | None = None) -> dict[str, Any]:
    """The manifest of a finished run, of this kind where one is named.

    Raises
    ------
    FormatError
        If the folder holds none.
    """
    if not run.manifest.is_file():
        raise FormatError(f"{run.path} holds no finished run (there is no {run.manifest.name})")
    try:
        manifest = json.loads(run.manifest.read_text(encoding="utf-8"))
        version, found = manifest["format_version"], manifest["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{run.manifest} is not a run's manifest") from error
    if version != FORMAT_VERSION or found != (kind or found):
        raise FormatError(
            f"{run.manifest}: a {kind or found} run of format {FORMAT_VERSION} is needed; got {found}, {version}"
        )
    return manifest


def same_settings(folders: Sequence[Path], manifests: Sequence[dict[str, Any]]) -> None:
    """InputError, naming the first difference, where a run has other settings than the first."""
    first = manifests[0]
    for folder, other in zip(folders[1:], manifests[1:], strict=True):
        for key, value in first["settings"].items():
            if other["settings"].get(key) != value:
                got = other["settings"].get(key)
                raise InputError(f"{folder} was run with {key} {got!r}; {folders[0]} with {value!r}")


def join_traces(
    folders: Sequence[Path], manifests: Sequence[dict[str, Any]], merged: RunFolder, *, id_column: str
) -> list[str]:
    """Write the last trace of every question, and the prompt; the ids in the order of the merged table.

    Raises
    ------
    InputError
        If a question stands in two folders.
    """
    at = _positions(folders, manifests, id_column)
    with atomic(merged.traces, binary=True) as file:
        for folder, position in at.values():
            with RunFolder(folder).traces.open("rb") as source:
                source.seek(position)
                file.write(source.readline())
    shutil.copyfile(RunFolder(folders[0]).prompt, merged.prompt)
    return list(at)


def _positions(
    folders: Sequence[Path], manifests: Sequence[dict[str, Any]], id_column: str
) -> dict[str, tuple[Path, int]]:
    """Folder and position of each question's trace, in the order of the merged table."""
    ids = [read_table(RunFolder(f).predictions, required=(id_column,))[id_column].tolist() for f in folders]
    shards = [_shard(manifest.get("shard")) for manifest in manifests]
    order: list[tuple[int, int]] = [(k, row) for k, own in enumerate(ids) for row in range(len(own))]
    n = len(folders)
    if sorted(shards) == [(i + 1, n) for i in range(n)]:
        order.sort(key=lambda pair: (pair[1], shards[pair[0]]))
    starts = [RunFolder(folder).positions() for folder in folders]
    found: dict[str, tuple[Path, int]] = {}
    for k, row in order:
        id_ = ids[k][row]
        if id_ in found:
            raise InputError(f"{id_} stands in {found[id_][0]} and in {folders[k]}")
        found[id_] = (folders[k], starts[k][id_])
    return found


def _shard(text: str | None) -> tuple[int, int]:
    i, _, n = (text or "0/0").partition("/")
    return int(i), int(n)


def _as_tuples(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
