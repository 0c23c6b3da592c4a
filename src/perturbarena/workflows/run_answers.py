"""A run, however it is kept, as one record: a folder of ``run prompt``, or a predictions table.

A table may hold no more than two probabilities for each id, or everything that a prompt submission holds: each
seed's probabilities, its trace, tokens. What is not there is None, and a report leaves it out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from perturbarena.challenge.formats import numbers, read_predictions, read_table
from perturbarena.challenge.records import DOWN, NONE, UP, Predictions
from perturbarena.errors import FormatError
from perturbarena.tracks.running.folder import RunFolder

_SEEDED: Final = re.compile(r"prediction_up_seed(\d+)")
_TRACED: Final = re.compile(r"reasoning_trace(?:_seed(\d+))?")


class SeedAnswers(NamedTuple):
    """What each of s seeds answered to n questions; arrays (s, n), NaN and "" where it gave no answer."""

    seeds: tuple[int, ...]
    p_up: np.ndarray
    p_down: np.ndarray
    label: np.ndarray


class Tokens(NamedTuple):
    """Tokens of each question, over its calls, shape (n,); None where only the sum is known."""

    total: np.ndarray
    read: np.ndarray | None
    written: np.ndarray | None


class Trace(NamedTuple):
    """What one call wrote. ``answer`` says what was read out of it, in words."""

    seed: int | None
    answer: str
    text: str


@dataclass(frozen=True, slots=True)
class RunAnswers:
    """A run: n answers in the table's order, and what is known of how they came about."""

    name: str
    path: Path
    predictions: Predictions
    pairs: dict[str, tuple[str, str]]
    """Perturbation and gene of the ids for which the run itself tells them."""
    manifest: dict[str, Any] | None
    seeds: SeedAnswers | None
    tokens: Tokens | None
    prompts: Callable[[str], str] | None
    """The prompt that was sent for an id."""
    traces: Callable[[str], Sequence[Trace]] | None
    """The traces of an id; they are read when asked for, as a run's are larger than everything else together."""


def read_run(path: Path) -> RunAnswers:
    """Read a run folder or a predictions table.

    Raises
    ------
    FormatError
        If there is no such run, a folder holds no finished one, or a file is damaged.
    """
    run = _read_folder(path) if path.is_dir() else _read_file(path)
    ids, counts = np.unique(run.predictions.id.astype(str), return_counts=True)
    if len(ids) and counts.max() > 1:
        raise FormatError(f"{path}: an id may stand once; {ids[counts.argmax()]} stands {counts.max()} times")
    return run


def labels_of(p_up: np.ndarray, p_down: np.ndarray) -> np.ndarray:
    """The likeliest of up, down and none; none where it ties, up where the other two do."""
    none = 1 - p_up - p_down
    return np.where((none >= p_up) & (none >= p_down), NONE, np.where(p_up >= p_down, UP, DOWN)).astype(object)


def _read_folder(path: Path) -> RunAnswers:
    folder = RunFolder(path)
    if not folder.manifest.is_file():
        raise FormatError(f"{path} holds no finished run (there is no {folder.manifest.name})")
    try:
        manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{folder.manifest} is not a run's manifest") from error
    if not isinstance(manifest, dict):
        raise FormatError(f"{folder.manifest} is not a run's manifest; an object is needed")
    predictions = read_predictions(folder.predictions)
    if not folder.traces.is_file():
        return RunAnswers(path.resolve().name, path, predictions, {}, manifest, None, None, None, None)
    positions = folder.positions()
    absent = [id_ for id_ in predictions.id if id_ not in positions]
    if absent:
        raise FormatError(f"{folder.traces} has no line for {absent[0]}, which {folder.predictions.name} answers")
    pairs: dict[str, tuple[str, str]] = {}
    seeds, tokens = _calls_in_order(folder.read(iter([positions[id_] for id_ in predictions.id])), pairs)

    def line(id_: str) -> dict[str, Any]:
        (found,) = folder.read([positions[id_]])
        return found

    return RunAnswers(
        path.resolve().name, path, predictions, pairs, manifest, seeds, tokens,
        prompts=lambda id_: str(line(id_).get("prompt", "")),
        traces=lambda id_: [_trace_of(call) for call in line(id_)["calls"]],
    )  # fmt: skip


def _calls_in_order(
    lines: Iterable[dict[str, Any]], pairs: dict[str, tuple[str, str]]
) -> tuple[SeedAnswers, Tokens]:
    """Calls of every question as arrays, names into ``pairs``; texts are let go line by line."""
    rows = []
    for line in lines:
        pairs[line["id"]] = (str(line.get("pert", "")), str(line.get("gene", "")))
        rows.append([
            (
                c["seed"], c.get("p_up", np.nan), c.get("p_down", np.nan), c.get("label", ""),
                c["prompt_tokens"], c["output_tokens"], c["total_tokens"],
            )
            for c in line["calls"]
        ])  # fmt: skip
    sums = np.array([np.sum([call[4:] for call in calls], axis=0) for calls in rows], float).reshape(-1, 3)
    tokens = Tokens(sums[:, 2], sums[:, 0], sums[:, 1])
    asked = tuple(sorted({call[0] for calls in rows for call in calls}))
    by_seed = [{call[0]: call for call in calls} for calls in rows]
    missing = (None, np.nan, np.nan, "")
    columns = [[of.get(seed, missing) for of in by_seed] for seed in asked]
    p_up, p_down = (np.array([[call[k] for call in column] for column in columns], float) for k in (1, 2))
    label = np.array([[call[3] for call in column] for column in columns], object)
    return SeedAnswers(asked, p_up, p_down, label), tokens


def _trace_of(call: dict[str, Any]) -> Trace:
    text = "\n\n".join(part for part in (call["reasoning"], call["content"]) if part.strip())
    answer = _in_words(call["p_up"], call["p_down"]) if call["answered"] else f"no answer: {call['reason']}"
    return Trace(call["seed"], answer, text)


def _read_file(path: Path) -> RunAnswers:
    predictions = read_predictions(path)
    table = read_table(path)
    seeds = _seeds_of(table, path)
    tokens = None
    if "tokens_used" in table.columns:
        tokens = Tokens(numbers(table["tokens_used"], "tokens_used", source=path), None, None)
    traced = {m: name for name in table.columns if (m := _TRACED.fullmatch(name))}
    row_of = {id_: i for i, id_ in enumerate(table["id"])}

    def traces(id_: str) -> list[Trace]:
        row = table.iloc[row_of[id_]]
        return [_trace_in_table(row, name, match[1]) for match, name in traced.items()]

    name = path.name.removesuffix(".gz").removesuffix(".csv")
    pairs = {}
    if {"pert", "gene"} <= set(table.columns):
        pairs = dict(zip(table["id"], zip(table["pert"], table["gene"], strict=True), strict=True))
    return RunAnswers(name, path, predictions, pairs, None, seeds, tokens, None, traces if traced else None)


def _seeds_of(table: pd.DataFrame, path: Path) -> SeedAnswers | None:
    seeds = tuple(sorted(int(m[1]) for name in table.columns if (m := _SEEDED.fullmatch(name))))
    if not seeds:
        return None
    p_up, p_down = (
        np.array([numbers(table[f"prediction_{way}_seed{s}"], f"seed {s}", source=path) for s in seeds])
        for way in ("up", "down")
    )
    return SeedAnswers(seeds, p_up, p_down, labels_of(p_up, p_down))


def _trace_in_table(row: pd.Series, name: str, seed: str | None) -> Trace:
    columns = ("prediction_up", "prediction_down") if seed is None else (
        f"prediction_up_seed{seed}", f"prediction_down_seed{seed}"
    )  # fmt: skip
    given = [float(row[c]) for c in columns if c in row.index]
    answer = _in_words(*given) if len(given) == 2 else ""
    return Trace(None if seed is None else int(seed), answer, str(row[name]))


def _in_words(p_up: float, p_down: float) -> str:
    return f"up {p_up:.2f}, down {p_down:.2f}, none {max(1 - p_up - p_down, 0):.2f}"
