"""All strategies keep the same promises; each does what it says; a model's text cannot break anything."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.lab.worlds import World, world

from perturbarena.errors import InputError
from perturbarena.lab import GeneGraph, Situation, assess, strategies, strategy_named
from perturbarena.lab.acquisition.llm import answered

WORLD = world()


def situation(it: World = WORLD, *, measured: int = 20, ask=None) -> Situation:
    names = it.features.names
    alike = it.module[:, None] == it.module
    pairs = [(names[i], names[j], 1.0) for i, j in np.argwhere(np.tril(alike, -1))]
    pairs += [(names[i], "G0", 1.0) for i in np.flatnonzero(it.module == 0)[:3]]
    seen = it.measured.rows(names[:measured])
    graph = GeneGraph.of(pairs)
    left = np.arange(measured, len(names))
    return assess(it.features, seen, open_=left, objective=it.objective, graph=graph, ask=ask)


@pytest.fixture(scope="module")
def known() -> Situation:
    return situation(ask=lambda _: "Ko30, Ko31")


@pytest.mark.parametrize("name", [*strategies(), "0.5*hit+0.5*diversity"])
@pytest.mark.parametrize("n", [1, 7, 40])
def test_every_strategy_gives_n_different_open_candidates_and_reasons(known, name, n):
    picks = strategy_named(name).choose(known, n, rng=np.random.default_rng(0))
    assert len({p.place for p in picks}) == n
    assert all(0 <= p.place < len(known.open) for p in picks)
    assert all(p.reason and np.isfinite(p.score) for p in picks)


@pytest.mark.parametrize("name", [n for n in strategies() if n != "graph"])
@pytest.mark.parametrize("measured", [0, 2])
def test_every_strategy_can_begin(name, measured):
    begun = situation(measured=measured, ask=lambda _: "nothing")
    assert len(strategy_named(name).choose(begun, 5, rng=np.random.default_rng(0))) == 5


@pytest.mark.parametrize("name", list(strategies()))
def test_the_same_generator_gives_the_same_batch(known, name):
    first, second = (strategy_named(name).choose(known, 6, rng=np.random.default_rng(3)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", ["hit", "ucb", "graph"])
def test_those_that_seek_hits_find_the_module_that_drives_the_programme(known, name):
    picks = strategy_named(name).choose(known, 5, rng=np.random.default_rng(0))
    modules = WORLD.module[known.open[[p.place for p in picks]]]
    assert (modules == 0).mean() >= 0.8


@pytest.mark.parametrize("name", ["diversity", "uncertainty", "information"])
def test_those_that_explore_spread_over_modules(name):
    picks = strategy_named(name).choose(situation(measured=4), 4, rng=np.random.default_rng(0))
    assert set(WORLD.module[:4]) | set(WORLD.module[4:][[p.place for p in picks]]) == {0, 1, 2, 3}


def test_probabilities_of_hits_are_calibrated():
    it = world(seed=5, knockouts=300, noise=0.4)
    aim = situation(it, measured=60)
    values = it.objective.value(it.measured.profiles(), it.measured.genes, knocked_out=it.measured.perturbations)
    came = values[aim.open] >= aim.hit_above
    assert abs(aim.p_hit.mean() - came.mean()) < 0.06
    assert came[aim.p_hit > 0.5].mean() > 0.6
    assert came[aim.p_hit < 0.1].mean() < 0.1


def test_mixtures_keep_their_shares(known):
    strategy = strategy_named("3*random+1*hit")
    assert strategy.name == "0.75*random+0.25*hit"
    picks = strategy.choose(known, 8, rng=np.random.default_rng(0))
    assert sum(p.reason.startswith("random:") for p in picks) == 6


@pytest.mark.parametrize("words", ["best", "0.5*hit+", "0*hit+1*random", "1.2.3*hit+random"])
def test_unknown_strategies_are_refused(words):
    with pytest.raises(InputError, match=r"no strategy|above 0|must be a number"):
        strategy_named(words)


def test_what_is_missing_is_said():
    bare = assess(WORLD.features, WORLD.measured.rows(["Ko0"]), open_=np.arange(1, 9), objective=WORLD.objective)
    for name, words in (("graph", "--graph"), ("llm", "--model")):
        with pytest.raises(InputError, match=words):
            strategy_named(name).choose(bare, 2, rng=np.random.default_rng(0))


def test_a_models_reasons_and_moves_are_kept_and_gaps_filled():
    moves = [{"gene": "G1", "direction": "up", "sure": 0.8}, {"gene": "G2", "direction": "sideways"}]
    entries = [{"gene": "Ko33", "why": "it drives\nG1", "moves": moves}, {"gene": "Nobody"}]
    text = "I think:\n" + json.dumps(entries)
    prompts = []
    aim = situation(ask=lambda prompt: prompts.append(prompt) or text)
    picks = strategy_named("llm").choose(aim, 3, rng=np.random.default_rng(0))
    assert aim.names[picks[0].place] == "Ko33"
    assert picks[0].reason == "the model: it drives G1"
    assert [(m.gene, m.direction, m.sure) for m in picks[0].moves] == [("G1", "up", 0.8)]
    assert "left a place open" in picks[1].reason
    assert "Ko0" in prompts[0]
    assert "G0 up" in prompts[0]


def test_reranking_stays_within_the_shortlist():
    hits = strategy_named("hit").choose(situation(), 6, rng=np.random.default_rng(0))
    names = situation().names
    order = [names[p.place] for p in hits][::-1]
    aim = situation(ask=lambda _: json.dumps([{"gene": "Ko59"}, *({"gene": g} for g in order)]))
    picks = strategy_named("llm-rerank").choose(aim, 2, rng=np.random.default_rng(0))
    assert {p.place for p in picks} <= {p.place for p in hits} | {names.tolist().index("Ko59")}
    assert len(picks) == 2


SCRAPS = ['[{"gene": "Ko30"', "}]", '"moves": [', "1e999", "{", "[" * 50]


@settings(max_examples=60)
@given(st.text(max_size=200) | st.lists(st.sampled_from(SCRAPS), max_size=8).map("".join))
def test_no_text_breaks_the_reading(known, text):
    picks = answered(known, 4, text, rng=np.random.default_rng(0), by="m")
    assert len({p.place for p in picks}) == 4
