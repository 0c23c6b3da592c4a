from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.errors import InputError
from perturbarena.stats import structure as shape
from perturbarena.stats.auroc import auroc

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9)), min_size=1, max_size=60)


def _graph(pairs: list[tuple[int, int]]) -> shape.Structure:
    return shape.Structure.of(*np.array(pairs).T)


@given(PAIRS, st.randoms(use_true_random=False))
def test_scores_follow_rows_and_ignore_names(pairs, random):
    order = list(range(len(pairs)))
    random.shuffle(order)
    perts, genes = list(range(100, 108)), list(range(200, 210))
    random.shuffle(perts)
    random.shuffle(genes)
    renamed = [(perts[pairs[i][0]], genes[pairs[i][1]]) for i in order]
    # sums are taken in another order, so up to rounding
    np.testing.assert_allclose(
        shape.features(_graph(renamed)), shape.features(_graph(pairs))[order], rtol=1e-4, atol=1e-9
    )


@given(PAIRS)
def test_fitting_meets_reachable_margins(pairs):
    graph = _graph(pairs)
    half = shape.Margins(graph.pert_size / 2, graph.gene_size / 2)
    fitted = shape.proportional_fit(graph, half)
    np.testing.assert_allclose(np.bincount(graph.pert, fitted), half.pert, rtol=1e-6)
    np.testing.assert_allclose(np.bincount(graph.gene, fitted), half.gene, rtol=1e-6)


def test_fitting_recovers_a_product():
    graph = shape.Structure.of(np.repeat(np.arange(3), 4), np.tile(np.arange(4), 3))
    a, b = np.array([0.2, 0.5, 0.9]), np.array([0.1, 0.4, 0.6, 1.0])
    truth = a[graph.pert] * b[graph.gene]
    margins = shape.Margins(np.bincount(graph.pert, truth), np.bincount(graph.gene, truth))
    np.testing.assert_allclose(shape.proportional_fit(graph, margins), truth, rtol=1e-9)


def test_margins_of_the_published_rule():
    graph = shape.Structure.of(np.array([0] * 12 + [1] * 3), np.r_[np.arange(12), 0, 0, 1])
    margins = shape.matched_margins(graph)
    assert margins.pert.tolist() == [9, 3]
    assert margins.gene[:3].tolist() == [1, 1, 0]
    fitted = shape.proportional_fit(graph, margins)
    assert np.all(fitted[graph.gene_rows == 1] == 0)


def test_wrong_margins_and_empty_sets_are_refused():
    graph = _graph([(0, 0), (0, 1)])
    with pytest.raises(InputError, match="needs 1 finite values"):
        shape.proportional_fit(graph, shape.Margins(np.array([-1.0]), np.ones(2)))
    with pytest.raises(InputError, match="needs 2 finite values"):
        shape.proportional_fit(graph, shape.Margins(np.ones(1), np.ones(3)))
    with pytest.raises(InputError, match="got 0 and 0"):
        shape.Structure.of(np.zeros(0), np.zeros(0))


def test_components():
    graph = _graph([(0, 0), (0, 1), (1, 1), (2, 2)])
    parts = shape.components(graph)
    assert parts.size[parts.part].tolist() == [3, 3, 3, 1]


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_leave_one_out_equals_a_loop(rows):
    cluster, positive, among = (np.array(column) for column in zip(*rows, strict=True))
    found = shape.leave_one_out(cluster, positive, among=among)
    for i in range(len(rows)):
        others = (cluster == cluster[i]) & among & (np.arange(len(rows)) != i)
        assert found.among[i] == (among[i] and others.any())
        if found.among[i]:
            assert found.score[i] == pytest.approx(positive[others].mean())


def test_leave_one_out_is_at_its_null_where_labels_ignore_the_cluster():
    rng = np.random.default_rng(5)
    excess = []
    for _ in range(200):
        cluster, positive = rng.integers(6, size=90), rng.random(90) < 0.4
        found = shape.leave_one_out(cluster, positive)
        excess.append(auroc(positive[found.among], found.score[found.among]) - found.null)
    assert np.mean(excess) == pytest.approx(0.0, abs=0.015)  # without the correction it is off by 0.08


def test_a_classifier_finds_what_no_single_score_shows():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(1200, 2))
    positive = (table[:, 0] * table[:, 1] > 0) ^ (rng.random(1200) < 0.1)
    half = np.arange(1200) < 600
    folds = [(np.flatnonzero(half), np.flatnonzero(~half)), (np.flatnonzero(~half), np.flatnonzero(half))]
    score = shape.cross_fitted_score(table, positive, folds)
    assert auroc(positive, score) > 0.8
    assert abs(auroc(positive, table[:, 0]) - 0.5) < 0.05
    assert np.all(shape.trained_score(table, np.arange(1200) < 3, table) == 0)
    assert np.isnan(shape.cross_fitted_score(table, positive, folds[:1])[half]).all()


def test_equal_places_have_equal_scores():
    """Every perturbation has as many rows of each of three kinds of genes, so there are three values."""
    rng = np.random.default_rng(0)
    rows = [
        (p, 60 * kind + (p + i) % 60)
        for kind, each in enumerate((3, 7, 11))
        for p in range(60)
        for i in range(each)
    ]
    graph = _graph([rows[i] for i in rng.permutation(len(rows))])
    assert len(np.unique(shape.proportional_fit(graph, shape.matched_margins(graph)))) > 3
    assert len(np.unique(shape.fixed_scores(graph)["proportional fitting"])) == 3
    assert not np.isnan(shape.fixed_scores(_graph([(0, 0)]))["proportional fitting"]).any()
