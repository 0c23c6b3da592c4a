"""Campaigns played on a screen that is already there: many strategies, many seeds, with controls, in
parallel."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perturbarena.errors import InputError
from perturbarena.knowledge import load_features
from perturbarena.lab import (
    CONTROLS,
    Fared,
    Game,
    GeneGraph,
    HiddenScreen,
    Objective,
    Played,
    Strategy,
    fared,
    play,
    read_graph,
    strategies,
    strategy_named,
)
from perturbarena.lab.comparison import BASELINE
from perturbarena.screen import EffectSettings
from perturbarena.workflows.build.source import ScreenColumns
from perturbarena.workflows.lab.asking import Ask
from perturbarena.workflows.lab.sources import candidate_features, read_results, store_graph

Progress = Callable[[int, int], None]
MIXTURES = ("0.5*hit+0.5*diversity", "0.8*hit+0.2*random")
"""Mixtures among ``all`` strategies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationPlan:
    """What is played. ``strategies`` empty: all that the screen allows; seeds are ``seed``, ``seed`` + 1, …;
    ``ask`` must be something that another process can be sent."""

    strategies: tuple[str, ...] = ()
    seeds: int = 50
    seed: int = 0
    game: Game = field(default_factory=Game)
    controls: bool = True
    workers: int | None = None
    ask: Ask | None = None


class Simulated(NamedTuple):
    """How each strategy fared, the single campaigns, and why strategies were left out, in words."""

    fared: list[Fared]
    played: list[Played]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HidePlan:
    """Files of a screen that is to be hidden; see ``lab simulate``."""

    path: Path
    objective: Objective
    columns: ScreenColumns | None = None
    settings: EffectSettings | None = None
    knowledge: Path | None = None
    features: Path | None = None
    coexpression: Path | None = None
    graph: Path | None = None
    store: Path | None = None


def hide_screen(plan: HidePlan, *, progress: Progress | None = None) -> HiddenScreen:
    """A screen or effect table as one whose results are hidden. Perturbations without estimates are left out.

    Raises
    ------
    InputError
        If a file is wrong, or the objective's genes are not measured.
    """
    came = read_results(plan.path, plan.columns, settings=plan.settings, progress=progress).measured
    estimated = [n for n, row in zip(came.perturbations, came.effect, strict=True) if np.isfinite(row).any()]
    blocks = ()
    if plan.knowledge or plan.features or plan.coexpression:
        blocks = load_features(
            knowledge=plan.knowledge, features=plan.features, coexpression=plan.coexpression
        ).blocks
    graph: GeneGraph | None = None
    if plan.graph is not None:
        graph = read_graph(plan.graph)
    elif plan.store is not None:
        graph = store_graph(plan.store, estimated)
    features = candidate_features(estimated, blocks)
    return HiddenScreen.of(came.rows(estimated), features, plan.objective, graph=graph, name=plan.path.name)


def simulate_campaigns(
    screens: Sequence[HiddenScreen], plan: SimulationPlan, *, progress: Progress | None = None
) -> Simulated:
    """Play every strategy, and chance, with every seed on every screen, as it is and under both controls.

    The result does not depend on the number of workers.

    Raises
    ------
    InputError
        If a strategy is unknown or lacks what it needs, or a screen has too few candidates for the game.
    """
    if not screens or plan.seeds < 1:
        raise InputError("a simulation needs at least one screen and one seed")
    for screen in screens:
        plan.game.check(len(screen.features))
    chosen, notes = _chosen(plan, screens)
    tasks = [(i, plan.seed + k) for i in range(len(screens)) for k in range(plan.seeds)]
    controls = CONTROLS if plan.controls else CONTROLS[:1]
    job = _Job(tuple(screens), tuple(chosen), plan.game, controls, plan.ask)
    found: dict[tuple[int, int], list[Played]] = {}
    for done, (task, played) in enumerate(_worked(job, tasks, plan.workers), start=1):
        found[task] = played
        if progress is not None:
            progress(done, len(tasks))
    played = [one for task in tasks for one in found[task]]
    order = {strategy_named(name).name: i for i, name in enumerate(chosen)}
    played.sort(key=lambda p: (order[p.strategy], controls.index(p.control)))  # stable: seeds stay in order
    return Simulated(fared(played), played, tuple(notes))


def able(strategy: Strategy, screen: HiddenScreen, *, ask: Ask | None) -> str:
    """What a strategy lacks on this screen, in words; empty where nothing."""
    lacks = []
    if "features" in strategy.needs and not screen.features.blocks:
        lacks.append("features of the candidates (--features, --coexpression or --knowledge)")
    if "graph" in strategy.needs and screen.graph is None:
        lacks.append("links between genes (--graph or --store)")
    if "model" in strategy.needs and ask is None:
        lacks.append("a language model (--model)")
    return " and ".join(lacks)


class _Job(NamedTuple):
    screens: tuple[HiddenScreen, ...]
    strategies: tuple[str, ...]
    game: Game
    controls: tuple
    ask: Ask | None


def _chosen(plan: SimulationPlan, screens: Sequence[HiddenScreen]) -> tuple[list[str], list[str]]:
    """Strategies by name, chance first; notes on those that ``all`` leaves out."""
    wanted = list(plan.strategies) or [*strategies(), *MIXTURES]
    names, notes = [BASELINE], []
    for name in wanted:
        lacks = next((why for s in screens if (why := able(strategy_named(name), s, ask=plan.ask))), "")
        if lacks and plan.strategies:
            raise InputError(f"the strategy {name} needs {lacks}")
        if lacks:
            notes.append(f"{name} left out: it needs {lacks}")
        elif strategy_named(name).name not in {strategy_named(n).name for n in names}:
            names.append(name)
    return names, notes


def _worked(job: _Job, tasks: Sequence[tuple[int, int]], workers: int | None) -> Iterator:
    workers = min(workers or os.cpu_count() or 1, len(tasks))
    if workers == 1:
        for task in tasks:
            yield task, _play_all(job, task)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(job,)) as pool:
        pending = {pool.submit(_in_worker, task): task for task in tasks}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_HELD: dict[str, _Job] = {}


def _begin(job: _Job) -> None:
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)
    _HELD["job"] = job


def _in_worker(task: tuple[int, int]) -> list[Played]:
    return _play_all(_HELD["job"], task)


def _play_all(job: _Job, task: tuple[int, int]) -> list[Played]:
    screen, seed = job.screens[task[0]], task[1]
    return [
        play(screen, strategy_named(name), seed=seed, game=job.game, control=control, ask=job.ask)
        for name in job.strategies
        for control in job.controls
    ]
