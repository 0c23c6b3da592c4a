"""The surrogate against its formula written out, and against what it must do when there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pytest
from tests.lab.worlds import world

from perturbarena.lab import CandidateFeatures, fit_surrogate
from perturbarena.lab.features import Kernel, usual_distance
from perturbarena.lab.surrogate import FEWEST, H2


def naive(kernels, measured, y, rows):
    """Posterior mean and variance of one column, every inverse written out."""
    y = y - y.mean()
    m, means, variances, evidence = len(y), [], [], []
    for kernel in kernels:
        among, toward = kernel.between(measured, measured), kernel.between(rows, measured)
        for h2 in H2:
            noisy = h2 * among + (1 - h2) * np.eye(m)
            inverse = np.linalg.inv(noisy)
            scale = y @ inverse @ y / m
            means.append(h2 * toward @ inverse @ y)
            prior = np.diag(kernel.between(rows, rows))
            left = h2 * prior - np.einsum("ij,jk,ik->i", h2 * toward, inverse, h2 * toward)
            variances.append(scale * left)
            evidence.append(-0.5 * (m * np.log(scale) + np.linalg.slogdet(noisy)[1]))
    weight = np.exp(np.array(evidence) - max(evidence))
    weight /= weight.sum()
    return weight @ np.array(means), weight @ np.array(variances)


def test_a_single_column_is_the_formula():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(30, 3)) / np.sqrt(3)
    kernels = [Kernel(features), Kernel(features, usual_distance(features))]
    measured, rows = np.arange(12), np.arange(12, 30)
    y = features[measured] @ [1.0, -2.0, 0.5] + 0.3 * rng.normal(size=12)
    found = fit_surrogate(kernels, measured, y[:, None]).profiles(rows)
    mean, variance = naive(kernels, measured, y, rows)
    np.testing.assert_allclose(found.mean[:, 0], mean + y.mean(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.shared[:, 0], variance, rtol=1e-6, atol=1e-9)


def test_profiles_of_knockouts_never_seen_are_predicted_and_the_spread_is_right():
    it = world(knockouts=120, noise=0.3)
    measured, rows = np.arange(60), np.arange(60, 120)
    profiles = it.measured.profiles()
    found = fit_surrogate(it.features.kernels(), measured, profiles[measured])
    predicted = found.profiles(rows)
    centred = profiles[rows] - found.centre
    r = np.corrcoef((predicted.mean - found.centre).ravel(), centred.ravel())[0, 1]
    assert r > 0.8
    assert 0.8 < ((profiles[rows] - predicted.mean) / predicted.sd).std() < 1.25
    assert 0.5 < found.explained < 0.95


def test_features_that_tell_nothing_leave_the_mean():
    it = world(knockouts=120)
    blind = it.features.shuffled(np.random.default_rng(1))
    measured, rows = np.arange(60), np.arange(60, 120)
    found = fit_surrogate(blind.kernels(), measured, it.measured.profiles()[measured])
    predicted = found.profiles(rows).mean - found.centre
    assert found.explained < 0.15
    assert np.abs(predicted).mean() < 0.2 * np.abs(it.measured.profiles()[rows] - found.centre).mean()


@pytest.mark.parametrize("m", range(FEWEST + 2))
def test_few_knockouts_are_no_error(m):
    it = world()
    found = fit_surrogate(it.features.kernels(), np.arange(m), it.measured.profiles()[:m])
    predicted = found.profiles(np.arange(20, 30))
    assert predicted.mean.shape == (10, 80)
    assert np.isfinite(predicted.mean).all()
    assert (predicted.sd > 0).all()
    assert found.learns == (m >= FEWEST)


def test_no_features_predict_the_mean():
    it = world()
    nothing = CandidateFeatures.of(it.features.names, {})
    found = fit_surrogate(nothing.kernels(), np.arange(20), it.measured.profiles()[:20])
    np.testing.assert_allclose(found.profiles(np.arange(30, 33)).mean, found.centre[None].repeat(3, axis=0))


def test_joint_covariance_agrees_with_single_variances_and_with_measuring():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(20, 2)) / np.sqrt(2)
    kernel = Kernel(features)
    found = fit_surrogate([kernel], np.arange(8), rng.normal(size=(8, 30)))
    rows = np.arange(8, 20)
    joint = found.covariance(rows)
    np.testing.assert_allclose(np.diag(joint.covariance), found.spread(rows), atol=1e-9)
    after = joint.after(3)
    plain = joint.covariance - np.outer(joint.covariance[:, 3], joint.covariance[3]) / (
        joint.covariance[3, 3] + joint.noise
    )
    np.testing.assert_allclose(after.covariance, plain)
    falls = [np.trace(joint.covariance) - np.trace(joint.after(i).covariance) for i in range(12)]
    np.testing.assert_allclose(joint.reduction(), falls, rtol=1e-9)
    assert (np.diag(after.covariance) <= np.diag(joint.covariance) + 1e-12).all()


def test_blocks_are_centred_scaled_and_blank_where_unknown():
    raw = np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan], [5.0, 0.0]])
    found = CandidateFeatures.of(["a", "b", "c", "d"], {"x": raw, "empty": np.full((4, 2), np.nan)})
    block = found.blocks["x"]
    assert list(found.blocks) == ["x"]
    np.testing.assert_allclose((block[[0, 1, 3]] ** 2).sum(axis=1).mean(), 1.0)
    np.testing.assert_allclose(block[[0, 1, 3]].mean(axis=0), 0.0, atol=1e-12)
    assert (block[2] == 0).all()
    assert found.known.tolist() == [True, True, False, True]
