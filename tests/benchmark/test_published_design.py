"""The published design keeps its rules, and leaves the leak behind that it is known for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_cases import made_up_labels

from perturbarena.benchmark.labels import CALL_DOWN, CALL_NONE, CALL_UP, NOT_ASKED, Labels
from perturbarena.benchmark.sampling import PublishedDesign, draw_published
from perturbarena.stats.auroc import rank
from perturbarena.stats.structure import Structure, fixed_scores


def _asked(labels: Labels, *, top: int = 9, seed: int = 0) -> np.ndarray:
    pairs = draw_published(labels, PublishedDesign(top=top), rng=np.random.default_rng(seed))
    asked = np.zeros(labels.call.shape, bool)
    asked[pairs.pert, pairs.gene] = True
    assert asked.sum() == len(pairs.pert), "a pair is asked twice"
    return asked


def _labels(call: list[list[int]], *, log2fc: object = None, fdr: object = None) -> Labels:
    code = np.array(call, np.int8)
    moved = np.abs(code) == 1
    return Labels(
        np.array([f"P{i}" for i in range(len(code))], object),
        np.array([f"G{i}" for i in range(code.shape[1])], object),
        code,
        np.where(moved, code, 0.0) if log2fc is None else np.asarray(log2fc, float),
        np.where(moved, 0.01, 0.9) if fdr is None else np.asarray(fdr, float),
        {},
    )


BLOCKS = {"seed": st.integers(0, 10_000), "n_perts": st.integers(2, 50), "n_genes": st.sampled_from([30, 300])}


@settings(max_examples=40, deadline=None)
@given(**BLOCKS, top=st.integers(1, 12))
def test_moved_pairs_are_the_top_ones(seed, n_perts, n_genes, top):
    labels = made_up_labels(np.random.default_rng(seed), n_perts=n_perts, n_genes=n_genes)
    asked = _asked(labels, top=top, seed=seed)
    for p in range(n_perts):
        moved, chosen = labels.moved[p], labels.moved[p] & asked[p]
        assert chosen.sum() == min(top, moved.sum())
        left = moved & ~asked[p]
        if chosen.any() and left.any():
            assert labels.fdr[p, chosen].max() <= labels.fdr[p, left].min()


@settings(max_examples=40, deadline=None)
@given(**BLOCKS)
def test_unchanged_pairs_match_genes_then_top_up_perturbations(seed, n_perts, n_genes):
    labels = made_up_labels(np.random.default_rng(seed), n_perts=n_perts, n_genes=n_genes)
    asked = _asked(labels, seed=seed)
    can, moved, unchanged = labels.call == CALL_NONE, labels.moved & asked, (labels.call == CALL_NONE) & asked
    assert not (asked & (labels.call == NOT_ASKED)).any()
    matched = np.minimum(moved.sum(axis=0), can.sum(axis=0))
    assert (unchanged.sum(axis=0) >= matched).all()
    assert (unchanged.sum(axis=1) >= np.minimum(moved.sum(axis=1), can.sum(axis=1))).all()
    added = unchanged.sum(axis=0) - matched
    topped_up = unchanged.sum(axis=1) == np.minimum(moved.sum(axis=1), can.sum(axis=1))
    assert not (unchanged[~topped_up][:, moved.sum(axis=0) == 0]).any(), (
        "only topping up asks a gene that never moves"
    )
    assert added.sum() <= moved.sum()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_same_generator_gives_the_same_pairs(seed):
    labels = made_up_labels(np.random.default_rng(seed), n_perts=20, n_genes=200)
    assert (_asked(labels, seed=seed) == _asked(labels, seed=seed)).all()
    assert (_asked(labels, seed=seed) != _asked(labels, seed=seed + 1)).any()


def test_ties_of_the_fdr_go_by_fold_change_whatever_its_sign():
    call = [[CALL_UP, CALL_DOWN, CALL_UP, CALL_NONE, CALL_NONE]]
    labels = _labels(call, log2fc=[[0.7, -2.0, 1.0, 0.0, 0.0]], fdr=[[0.0, 0.0, 0.0, 0.9, 0.9]])
    assert np.flatnonzero(_asked(labels, top=2)[0, :3]).tolist() == [1, 2]
    labels = _labels(call, log2fc=[[0.7, -2.0, 1.0, 0.0, 0.0]], fdr=[[0.001, 0.01, 0.002, 0.9, 0.9]])
    assert np.flatnonzero(_asked(labels, top=2)[0, :3]).tolist() == [0, 2]


def test_what_cannot_be_matched_is_said():
    labels = _labels([[CALL_UP, CALL_UP, CALL_NONE], [CALL_UP, CALL_NONE, NOT_ASKED]])
    pairs = draw_published(labels, rng=np.random.default_rng(0))
    assert pairs.notes == (
        "1 genes move at so many perturbations that they have fewer unchanged than moved rows",
        "1 perturbations leave so few genes unchanged that they have more moved rows",
    )


def test_a_block_without_moved_genes_asks_nothing():
    pairs = draw_published(_labels([[CALL_NONE] * 4] * 3), rng=np.random.default_rng(0))
    assert len(pairs.pert) == 0
    assert pairs.notes == ()


def test_row_counts_give_answers_away():
    labels = made_up_labels(np.random.default_rng(5), n_perts=200, n_genes=3000)
    pairs = draw_published(labels, rng=np.random.default_rng(6))
    moved = labels.call[pairs.pert, pairs.gene] != CALL_NONE
    graph = Structure.of(pairs.pert, pairs.gene)
    assert rank(moved, fixed_scores(graph)["proportional fitting"]).value() > 0.6
    once = graph.gene_rows == 1
    assert once.any()
    assert not moved[once].any()
    assert moved.mean() == pytest.approx(0.46, abs=0.04)
