"""Would a strategy have helped? Campaigns played on a screen that is already there, against choice by chance.

For every seed a fifth of the knockouts is set aside and never offered: predictions are judged on them, so
that all strategies are judged on the same ones and none gains by leaving easy ones over. A fifth of the
genes is set aside too: neither a strategy nor the surrogate's components and weights see them; what the
measured knockouts did to them is only used, at the end, to turn predicted components into predictions of
these genes. Every strategy begins with the same knockouts, drawn by chance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, get_args

import numpy as np

from perturbarena.errors import InputError
from perturbarena.lab.acquisition import Strategy
from perturbarena.lab.measurements import LAYERS, Measurements
from perturbarena.lab.oracle import HiddenScreen, Oracle
from perturbarena.lab.situation import Ask, assess
from perturbarena.lab.surrogate import Surrogate

Control = Literal["none", "permuted feedback", "permuted features"]
CONTROLS: Final[tuple[Control, ...]] = get_args(Control)
ASIDE: Final = 0.2
"""Share of knockouts, and of genes, on which predictions are judged."""


@dataclass(frozen=True, slots=True)
class Game:
    """How campaigns are played: ``start`` knockouts by chance, then ``rounds`` of ``batch``; ``hit_share``
    of the candidates that are offered are hits."""

    start: int = 10
    rounds: int = 5
    batch: int = 10
    hit_share: float = 0.1

    def check(self, candidates: int) -> None:
        """InputError if the candidates do not suffice."""
        offered = candidates - round(ASIDE * candidates)
        needed = self.start + self.rounds * self.batch
        if min(self.start, self.rounds, self.batch) < 1 or not 0 < self.hit_share < 1:
            raise InputError("start, rounds and batch must be at least 1, and the share of hits between 0 and 1")
        if needed > offered:
            raise InputError(
                f"{self.start} knockouts to start with and {self.rounds} rounds of {self.batch} need {needed} "
                f"candidates; {candidates} less a fifth for judging predictions leave {offered}; lower --start, "
                "--rounds or --batch"
            )


class Played(NamedTuple):
    """One campaign: ``found`` (rounds + 1,) share of the hits found, ``predicted`` (rounds + 1,) mean
    correlation of predicted with true effects; the first of each is after the start."""

    strategy: str
    seed: int
    control: Control
    screen: str
    found: np.ndarray
    predicted: np.ndarray

    @property
    def area(self) -> float:
        """Mean share of hits found over the rounds: the area under the curve."""
        return float(self.found[1:].mean())

    @property
    def predicted_area(self) -> float:
        """Mean prediction score over the rounds."""
        return float(self.predicted[1:].mean())


class _Table(NamedTuple):
    """What is dealt for one seed: rows to start with, rows set aside, genes set aside, the hits among those
    offered."""

    start: np.ndarray
    aside: np.ndarray
    genes_aside: np.ndarray
    hits: np.ndarray
    hit_above: float


def play(
    screen: HiddenScreen,
    strategy: Strategy,
    *,
    seed: int,
    game: Game,
    control: Control = "none",
    ask: Ask | None = None,
) -> Played:
    """Play one campaign. What is dealt depends on the seed alone, so that strategies are compared in pairs."""
    deal, shuffle, choose = (np.random.default_rng([seed, k]) for k in range(3))
    table = _deal(screen, game, deal)
    features = screen.features.shuffled(shuffle) if control == "permuted features" else screen.features
    oracle = Oracle(screen, shuffle.permutation(len(features)) if control == "permuted feedback" else None)
    visible = ~table.genes_aside
    measured, rows = oracle.measure(table.start), table.start
    found, predicted = [], []
    for round_ in range(game.rounds + 1):
        taken = np.isin(np.arange(len(features)), np.concatenate([rows, table.aside]))
        situation = assess(
            features, _on(measured, visible), open_=np.flatnonzero(~taken), objective=screen.objective,
            hit_above=table.hit_above, graph=screen.graph, ask=ask,
        )  # fmt: skip
        found.append(float(np.isin(table.hits, rows).mean()))
        predicted.append(
            prediction_score(situation.effects, measured, table.aside, table.genes_aside, screen.truth)
        )
        if round_ < game.rounds:
            picks = strategy.choose(situation, game.batch, rng=choose)
            chosen = situation.open[[pick.place for pick in picks]]
            rows = np.concatenate([rows, chosen])
            measured = measured.and_more(oracle.measure(chosen))
    return Played(strategy.name, seed, control, screen.name, np.array(found), np.array(predicted))


def prediction_score(
    effects: Surrogate, measured: Measurements, aside: np.ndarray, genes_aside: np.ndarray, truth: np.ndarray
) -> float:
    """Mean over knockouts set aside of Pearson's r, over genes set aside, of predicted with true effects.

    Both are taken less the measured knockouts' mean effect on the gene, so that what all knockouts do alike
    scores nothing. A prediction of that mean alone has r 0. Loadings of the genes set aside are the measured
    knockouts' effects projected on the components' scores.
    """
    seen = measured.profiles()[:, genes_aside]
    centre = seen.mean(axis=0)
    if not effects.learns:
        return 0.0
    scores = effects.scores
    size = np.maximum((scores**2).sum(axis=0), 1e-12)
    loadings = (scores / size).T @ (seen - centre)
    guess = effects.components(aside).mean @ loadings
    return float(
        np.mean([_pearson(a, b) for a, b in zip(guess, truth[np.ix_(aside, genes_aside)] - centre, strict=True)])
    )


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 1e-12 else 0.0


def _deal(screen: HiddenScreen, game: Game, rng: np.random.Generator) -> _Table:
    n, genes = len(screen.features), screen.shown.genes
    order = rng.permutation(n)
    n_aside = round(ASIDE * n)
    aside, offered = np.sort(order[:n_aside]), order[n_aside:]
    start = offered[: game.start]
    wanted = set(screen.objective.genes)
    free = np.array([gene not in wanted for gene in genes])
    genes_aside = np.zeros(len(genes), bool)
    genes_aside[rng.choice(np.flatnonzero(free), max(2, round(ASIDE * free.sum())), replace=False)] = True
    values = screen.values()
    hit_above = float(np.quantile(values[offered], 1 - game.hit_share))
    later = offered[game.start :]
    return _Table(start, aside, genes_aside, later[values[later] >= hit_above], hit_above)


def _on(measured: Measurements, genes: np.ndarray) -> Measurements:
    layers = {name: getattr(measured, name)[:, genes] for name in LAYERS}
    return replace(measured, genes=measured.genes[genes], **layers)
