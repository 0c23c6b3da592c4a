from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from perturbarena.errors import InputError
from perturbarena.evaluation.curves import roc_curve


def _rows(rng: np.random.Generator, n: int = 600):
    pert, gene = rng.integers(20, size=n), rng.integers(60, size=n)
    effect = rng.normal(size=20)[pert] + rng.normal(size=60)[gene] + rng.normal(size=n)
    return effect > 0, np.round(effect + 2 * rng.normal(size=60)[gene], 1), pert, gene


def test_area_under_the_curve_is_the_auroc():
    positive, value, pert, gene = _rows(np.random.default_rng(1))
    curve = roc_curve(positive, value, pert=pert, gene=gene, rng=np.random.default_rng(2))
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(roc_auc_score(positive, value), abs=2e-3)
    assert np.all(np.diff(curve.tpr) >= 0)
    assert np.all((curve.low <= curve.tpr) & (curve.tpr <= curve.high))


def test_band_is_wider_than_one_of_independent_rows():
    positive, value, pert, gene = _rows(np.random.default_rng(3))
    apart = np.arange(len(value))
    shared = roc_curve(positive, value, pert=pert, gene=gene, rng=np.random.default_rng(4))
    single = roc_curve(positive, value, pert=apart, gene=apart, rng=np.random.default_rng(4))
    assert (shared.high - shared.low).mean() > 1.3 * (single.high - single.low).mean()


def test_one_class_is_refused():
    with pytest.raises(InputError, match="both classes"):
        roc_curve(
            np.ones(4, bool), np.arange(4.0), pert=np.arange(4), gene=np.arange(4), rng=np.random.default_rng(0)
        )
