"""Played campaigns: fair to each other, better than chance where there is structure, no better under the
controls."""

from __future__ import annotations

import numpy as np
import pytest
from tests.lab.worlds import world

from perturbarena.errors import InputError
from perturbarena.lab import CONTROLS, Game, HiddenScreen, Oracle, Played, assess, fared, play, strategy_named
from perturbarena.lab.retrospective import prediction_score

GAME = Game(start=6, rounds=3, batch=6, hit_share=0.15)


def screen(seed: int = 0, **kwargs) -> HiddenScreen:
    it = world(seed=seed, **kwargs)
    return HiddenScreen.of(it.measured, it.features, it.objective, name=f"s{seed}")


def test_an_oracle_gives_each_result_once_and_only_what_is_asked():
    oracle = Oracle(screen())
    assert oracle.measure(np.array([3, 5])).perturbations.tolist() == ["Ko3", "Ko5"]
    with pytest.raises(InputError, match="measured twice: Ko5"):
        oracle.measure(np.array([5]))
    dealt = Oracle(screen(), np.roll(np.arange(60), 1)).measure(np.array([3]))
    assert dealt.perturbations.tolist() == ["Ko3"]
    np.testing.assert_array_equal(dealt.effect, screen().shown.rows(["Ko2"]).effect)


def test_a_campaign_depends_on_its_seed_alone_and_never_offers_what_is_set_aside():
    first, second = (play(screen(), strategy_named("hit"), seed=4, game=GAME) for _ in range(2))
    np.testing.assert_array_equal(first.found, second.found)
    np.testing.assert_array_equal(first.predicted, second.predicted)
    chance = play(screen(), strategy_named("random"), seed=4, game=GAME)
    assert chance.found[0] == first.found[0] == 0
    assert chance.predicted[0] == first.predicted[0]
    assert (np.diff(first.found) >= 0).all()
    everything = Game(start=6, rounds=7, batch=6, hit_share=0.15)
    assert play(screen(), strategy_named("random"), seed=0, game=everything).found[-1] == 1.0


def test_structure_is_used_and_the_gain_vanishes_with_the_feedback():
    played = []
    for seed in range(8):
        hidden = screen(seed, knockouts=80)
        played += [
            play(hidden, strategy_named(name), seed=seed, game=GAME, control=control)
            for name in ("random", "hit")
            for control in CONTROLS
        ]
    by = {(one.strategy, one.control): one for one in fared(played)}
    gain = by["hit", "none"].gain
    assert gain.interval is not None
    assert gain.interval.low > 0
    assert by["hit", "none"].screens == 8
    for control in ("permuted feedback", "permuted features"):
        assert abs(by["hit", control].gain.difference) < gain.difference / 2
        assert abs(by["hit", control].predicted_area) < 0.15
    assert by["hit", "none"].predicted_area > 0.4
    assert np.isfinite(by["hit", "none"].found_se).all()


def test_predictions_do_not_score_for_what_all_knockouts_do_alike():
    it = world(knockouts=40)
    common = 3 * np.random.default_rng(0).normal(size=80)
    blind = it.features.shuffled(np.random.default_rng(1))
    shifted = it.measured.rows(it.measured.perturbations[:20])
    object.__setattr__(shifted, "effect", shifted.effect + common)
    aim = assess(blind, shifted, open_=np.arange(20, 40), objective=it.objective)
    genes_aside = np.arange(80) >= 60
    score = prediction_score(aim.effects, shifted, np.arange(20, 40), genes_aside, it.measured.effect + common)
    assert abs(score) < 0.25


def test_comparison_is_the_paired_mean_with_students_interval():
    curves = {"random": [0.1, 0.2, 0.3, 0.2], "hit": [0.3, 0.2, 0.5, 0.4]}
    played = [
        Played(name, seed, "none", "one", np.array([0.0, area]), np.array([0.0, 0.0]))
        for name, areas in curves.items()
        for seed, area in enumerate(areas)
    ]
    found = fared(played)[1]
    d = np.array(curves["hit"]) - np.array(curves["random"])
    half = 3.182446 * d.std(ddof=1) / 2
    assert found.gain.difference == pytest.approx(d.mean())
    assert found.gain.interval == pytest.approx((d.mean() - half, d.mean() + half), rel=1e-5)
    several = fared([p._replace(screen=f"s{p.seed // 2}") for p in played])[1]
    assert several.screens == 2
    assert several.gain.difference == pytest.approx(d.mean())
    with pytest.raises(InputError, match="same seeds"):
        fared(played[4:])


def test_a_game_too_large_is_refused():
    with pytest.raises(InputError, match="need 106 candidates; 60 less a fifth"):
        Game(start=6, rounds=10, batch=10).check(60)
    with pytest.raises(InputError, match="between 0 and 1"):
        Game(hit_share=1.0).check(600)
