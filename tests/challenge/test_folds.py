"""Doubly disjoint folds: nothing is shared between training and test rows, and every row is answered once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from perturbarena.challenge.folds import Folds, check_disjoint
from perturbarena.errors import FoldLeakError, InputError


def column(values) -> np.ndarray:
    return np.asarray(values, object)


@st.composite
def rows(draw):
    pairs = st.tuples(st.integers(0, 12), st.integers(0, 12))
    drawn = draw(st.lists(pairs, min_size=4, max_size=60, unique=True))
    n_folds = draw(st.integers(2, 4))
    pert = column([f"P{p}" for p, _ in drawn])
    gene = column([f"G{g}" for _, g in drawn])
    assume(min(len(set(pert)), len(set(gene))) >= n_folds)
    return pert, gene, n_folds, draw(st.integers(0, 2**32 - 1))


@given(rows())
def test_blocks_share_nothing_and_answer_every_row_once(case):
    pert, gene, n_folds, seed = case
    folds = Folds.deal(pert, gene, n_folds=n_folds, rng=np.random.default_rng(seed))
    assert len(folds) == len(pert)
    answered = np.zeros(len(pert), int)
    for block in folds.blocks():
        answered[block.test] += 1
        assert not set(pert[block.train]) & set(pert[block.test])
        assert not set(gene[block.train]) & set(gene[block.test])
        check_disjoint(pert[block.train], gene[block.train], pert[block.test], gene[block.test])
        assert (folds.pert_fold[block.test] == block.pert_fold).all()
        assert (folds.gene_fold[block.test] == block.gene_fold).all()
        # every row that shares neither axis with the block is used
        free = (folds.pert_fold != block.pert_fold) & (folds.gene_fold != block.gene_fold)
        assert set(block.train) == set(np.flatnonzero(free))
    assert (answered == 1).all()
    folds.check(pert, gene)


@given(rows(), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(case, random):
    pert, gene, n_folds, seed = case
    order = list(range(len(pert)))
    random.shuffle(order)
    folds = Folds.deal(pert, gene, n_folds=n_folds, rng=np.random.default_rng(seed))
    moved = Folds.deal(pert[order], gene[order], n_folds=n_folds, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(moved.pert_fold, folds.pert_fold[order])
    np.testing.assert_array_equal(moved.gene_fold, folds.gene_fold[order])


@given(rows())
def test_folds_are_of_nearly_equal_numbers(case):
    pert, gene, n_folds, seed = case
    folds = Folds.deal(pert, gene, n_folds=n_folds, rng=np.random.default_rng(seed))
    for names, fold in ((pert, folds.pert_fold), (gene, folds.gene_fold)):
        sizes = [len(set(names[fold == k])) for k in range(n_folds)]
        assert max(sizes) - min(sizes) <= 1


@given(rows(), st.data())
def test_a_planted_leak_is_found(case, data):
    pert, gene, n_folds, seed = case
    folds = Folds.deal(pert, gene, n_folds=n_folds, rng=np.random.default_rng(seed))
    repeated = [i for i, name in enumerate(gene) if (gene == name).sum() > 1]
    assume(repeated)
    i = data.draw(st.sampled_from(repeated))
    moved = folds.gene_fold.copy()
    moved[i] = (moved[i] + 1) % n_folds
    with pytest.raises(FoldLeakError, match=f"gene {gene[i]} stands in folds"):
        Folds(n_folds, folds.pert_fold, moved).check(pert, gene)


def test_another_seed_gives_other_folds():
    names = column([f"X{i}" for i in range(100)])
    one, two = (Folds.deal(names, names, n_folds=5, rng=np.random.default_rng(s)) for s in (1, 2))
    assert (one.pert_fold != two.pert_fold).any()
    assert (one.pert_fold != one.gene_fold).any()


def test_folds_given_by_name():
    pert, gene = column(["P", "Q", "P"]), column(["G", "G", "H"])
    folds = Folds.from_assignment(pert, gene, pert_folds={"P": 0, "Q": 1}, gene_folds=[("G", 1), ("H", 0)])
    assert folds.n_folds == 2
    np.testing.assert_array_equal(folds.pert_fold, [0, 1, 0])
    np.testing.assert_array_equal(folds.gene_fold, [1, 1, 0])
    with pytest.raises(FoldLeakError, match="perturbation P stands in folds 0 and 1"):
        Folds.from_assignment(pert, gene, pert_folds=[("P", 0), ("P", 1)], gene_folds={"G": 0, "H": 1})
    with pytest.raises(InputError, match=r"every gene needs a fold; 1 have none, e\.g\. H"):
        Folds.from_assignment(pert, gene, pert_folds={"P": 0, "Q": 1}, gene_folds={"G": 0})
    with pytest.raises(InputError, match="a fold is 0 or more; gene H has -1"):
        Folds.from_assignment(pert, gene, pert_folds={"P": 0, "Q": 1}, gene_folds={"G": 0, "H": -1})
    with pytest.raises(InputError, match="got 3 and 2"):
        Folds.from_assignment(pert, gene[:2], pert_folds={"P": 0, "Q": 1}, gene_folds={"G": 0})


def test_too_few_names_or_folds():
    names, rng = column(["a", "b"]), np.random.default_rng(0)
    with pytest.raises(InputError, match="3 folds need at least 3 perturbations; got 2"):
        Folds.deal(names, names, n_folds=3, rng=rng)
    with pytest.raises(InputError, match="folds must be at least 2; got 1"):
        Folds.deal(names, names, n_folds=1, rng=rng)


def test_check_disjoint_names_the_axis():
    a, b = column(["P"]), column(["Q"])
    check_disjoint(a, a, b, b)
    with pytest.raises(FoldLeakError, match=r"no perturbation; 1 are in both, e\.g\. P"):
        check_disjoint(a, a, a, b)
    with pytest.raises(FoldLeakError, match=r"no gene; 1 are in both, e\.g\. P"):
        check_disjoint(a, a, b, a)
