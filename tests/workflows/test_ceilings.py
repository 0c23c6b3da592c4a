from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perturbarena.benchmark.labels import NOT_ASKED, Effects, Labels, LabelSettings, label_effects
from perturbarena.benchmark.sampling import Pairs
from perturbarena.errors import InputError
from perturbarena.screen import (
    EffectSettings,
    Screen,
    SimulationSettings,
    estimate_effects,
    from_anndata,
    simulate_screen,
)
from perturbarena.workflows.ceiling import deal_halves, half_from_table, measure_ceilings

SETTINGS = EffectSettings(controls=300)


@pytest.fixture(scope="module")
def screen() -> Screen:
    settings = SimulationSettings(
        perturbations=8,
        genes=250,
        cells_per_perturbation=80,
        control_cells=400,
        control_guides=8,
        counts_per_gene=2,
    )
    simulated = simulate_screen(np.random.default_rng(0), settings).to_anndata()
    return from_anndata(simulated, perturbation="perturbation", control="control", batch="batch", guide="guide")


@pytest.fixture(scope="module")
def labels(screen: Screen) -> Labels:
    table = estimate_effects(screen, settings=SETTINGS, workers=1)
    effects = Effects(
        table.obs_names.to_numpy(object),
        table.var_names.to_numpy(object),
        np.asarray(table.layers["log2fc_shrunk"], float),
        np.asarray(table.layers["fdr"]),
        table.var["share_of_control_cells"].to_numpy(),
    )
    return label_effects(effects, LabelSettings(min_degs=2))


def test_halves_are_alike_in_every_stratum(screen):
    second = deal_halves(screen, np.random.default_rng(0))
    for columns in ((screen.perturbation,), (screen.perturbation, screen.guide, screen.batch)):
        strata = np.array(["|".join(map(str, names)) for names in zip(*columns, strict=True)])
        for stratum in np.unique(strata):
            inside = strata == stratum
            assert abs(second[inside].sum() - (~second[inside]).sum()) <= 1
    again = deal_halves(screen, np.random.default_rng(0))
    other = deal_halves(screen, np.random.default_rng(1))
    assert (second == again).all()
    assert (second != other).mean() > 0.2


def test_a_killed_run_goes_on_and_gives_the_same(screen, labels, tmp_path: Path):
    rows = {"test": Pairs(*np.nonzero(labels.call != NOT_ASKED)).questions(labels)}

    def measured(folder: Path, progress):
        return measure_ceilings(
            screen, labels, rows, effect_settings=SETTINGS, folder=folder, rng=np.random.default_rng(5),
            n_resamples=50, workers=1, progress=progress,
        ).as_json()  # fmt: skip

    steps: list[tuple[int, int]] = []
    whole = measured(tmp_path / "a", lambda done, total: steps.append((done, total)))
    assert steps == [(8, 16), (16, 16)]

    def killed(done: int, total: int) -> None:
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(tmp_path / "b", killed)
    assert [path.name for path in (tmp_path / "b").rglob("*.h5ad")] == ["first.h5ad"]
    steps.clear()
    assert measured(tmp_path / "b", lambda done, total: steps.append((done, total))) == whole
    assert steps == [(16, 16)]

    split = json.loads(json.dumps(whole, allow_nan=False))["test"]
    assert 0.75 < split["split_half"]["de_auroc"] <= 1
    assert split["split_half"]["dir_auroc"] > 0.9
    assert split["agreement"]["kept"] > 0.5
    assert split["agreement"]["flipped"] < 0.02


def test_what_a_half_lacks_is_unclear(screen, labels):
    table = estimate_effects(screen, settings=SETTINGS, workers=1)
    whole = half_from_table(table, labels, LabelSettings())
    self_pair = labels.perturbations[:, None] == labels.genes
    assert (whole.call[~self_pair] == labels.call[~self_pair]).all()
    assert np.isfinite(whole.z).all()
    part = half_from_table(table[1:, table.var_names != labels.genes[0]].copy(), labels, LabelSettings())
    assert (part.call[:, 0] == NOT_ASKED).all()
    assert np.isnan(part.z[:, 0]).all()
    assert np.array_equal(part.call[1:, 1:], whole.call[1:, 1:])


def test_too_few_cells_for_halves_are_refused(screen, labels, tmp_path):
    with pytest.raises(InputError, match="too few cells: 40, at least 60 needed"):
        measure_ceilings(
            screen,
            labels,
            {},
            effect_settings=SETTINGS.model_copy(update={"min_cells": 120}),
            folder=tmp_path,
            rng=np.random.default_rng(0),
        )
