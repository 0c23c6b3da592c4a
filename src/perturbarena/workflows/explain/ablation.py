"""The answer without a path, without a perturbation's rows, without a block of features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.errors import InputError
from perturbarena.knowledge import Block, KnowledgeBase, PathTable, implied_direction
from perturbarena.tracks import Relearner, TransferModel, fit_transfer, pulls_of
from perturbarena.workflows.explain.record import Leaned, Odds, PathEvidence, Shift

Progress = Callable[[int, int], None]
"""Told how many of how many refits are done."""


def odds_of(model: TransferModel, asked: Questions) -> Odds:
    """A model's answer to one question."""
    found = model.answer(asked).predictions
    return Odds(float(found.p_up[0]), float(found.p_down[0]))


def _shift(name: str, odds: Odds, answer: Odds) -> Shift:
    return Shift(name, odds, odds.p_up - answer.p_up, odds.p_down - answer.p_down)


def perturbations_leaned_on(
    model: TransferModel,
    train: LabelledQuestions,
    asked: Questions,
    answer: Odds,
    *,
    n_tried: int,
    progress: Progress | None,
) -> tuple[Leaned, ...]:
    """Leave out the perturbations with the largest estimated pull, one by one; the largest shift first."""
    learner = Relearner(model, train)
    pulls = pulls_of(learner, asked)
    names, code = np.unique(train.pert.astype(str), return_inverse=True)
    up, down = (np.bincount(code, pull, minlength=len(names)) for pull in pulls)
    likely = np.argsort(-np.maximum(np.abs(up), np.abs(down)), kind="stable")[: min(n_tried, len(names) - 1)]
    described = [model.design.described(part, "pert") for part in (names.astype(object), asked.pert)]
    cosine = _cosines(*described)
    found = []
    for done, k in enumerate(likely, start=1):
        own = code == k
        shift = _shift(str(names[k]), odds_of(learner.without(own), asked), answer)
        n_moved, n_up = int(train.is_de[own].sum()), int(train.is_up[own].sum())
        found.append(
            Leaned(str(names[k]), int(own.sum()), n_moved, n_up, float(cosine[k]), float(up[k] - down[k]), shift)
        )
        if progress is not None:
            progress(done, len(likely))
    return tuple(sorted(found, key=lambda one: -one.without.size))


def _cosines(many: np.ndarray, one: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(many, axis=1) * np.linalg.norm(one)
    return np.divide(many @ one[0], length, where=length > 0, out=np.zeros(len(many)))


def paths_for_and_against(
    model: TransferModel,
    table: PathTable | None,
    network: KnowledgeBase | None,
    asked: Questions,
    answer: Odds,
    *,
    max_length: int,
) -> tuple[tuple[PathEvidence, ...], str]:
    """Every path of the question with the answer without it, those that agree first; why there are none."""
    if table is None or network is None:
        return (), "no network was given"
    pert, gene = str(asked.pert[0]), str(asked.gene[0])
    paths = table.known.get((pert, gene), ())
    if not paths:
        why = network.paths(pert, gene, max_length=max_length).why
        return (), why or f"no path of at most {max_length} steps"
    found = []
    for path in paths:
        implies = "up" if implied_direction(path, table.perturbation) > 0 else "down"
        without = odds_of(_with_table(model, table, table.without(pert, gene, path)), asked)
        found.append(PathEvidence(path, implies, implies == answer.direction, _shift("path", without, answer)))
    return tuple(sorted(found, key=lambda one: (not one.agrees, len(one.path.steps)))), ""


def _with_table(model: TransferModel, old: PathTable, new: PathTable) -> TransferModel:
    """The same model, reading path evidence from another table."""
    pairs = model.design.pairs
    sources = tuple(new if source is old else source for source in pairs.sources)
    return replace(model, design=replace(model.design, pairs=replace(pairs, sources=sources)))


def without_blocks(
    train: LabelledQuestions,
    blocks: Sequence[Block],
    asked: Questions,
    answer: Odds,
    *,
    seed: int,
    progress: Progress | None,
) -> tuple[Shift, ...]:
    """Learn everything anew without each block in turn; a block that alone can be learned from has no shift."""
    found = []
    for i, block in enumerate(blocks):
        rest = [other for k, other in enumerate(blocks) if k != i]
        try:
            model = fit_transfer(train, rest, rng=np.random.default_rng(seed))
        except InputError:  # nothing else describes a gene or a perturbation
            continue
        found.append(_shift(block.name, odds_of(model, asked), answer))
        if progress is not None:
            progress(i + 1, len(blocks))
    return tuple(sorted(found, key=lambda shift: -shift.size))
