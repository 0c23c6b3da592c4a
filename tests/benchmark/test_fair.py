import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_cases import made_up_labels

from perturbarena.benchmark.labels import CALL_NONE, NOT_ASKED
from perturbarena.benchmark.sampling import FairDesign, draw_fair, draw_fair_together
from perturbarena.benchmark.sampling.matching import margins_matching, swap_edges
from perturbarena.errors import InputError
from perturbarena.stats.auroc import rank
from perturbarena.stats.structure import Structure, features, fixed_scores


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_perts=st.integers(8, 60), rows=st.integers(3, 12))
def test_every_gene_and_every_perturbation_is_asked_equally_often(seed, n_perts, rows):
    rng = np.random.default_rng(seed)
    labels = made_up_labels(rng, n_perts=n_perts, n_genes=300)
    pairs = draw_fair(labels, FairDesign(rows_per_perturbation=rows, rows_per_gene=min(4, rows)), rng=rng)
    of_pert, of_gene = np.bincount(pairs.pert, minlength=n_perts), np.bincount(pairs.gene)
    assert len(set(of_pert)) == 1
    assert len(set(of_gene[of_gene > 0])) == 1
    assert len(set(zip(pairs.pert, pairs.gene, strict=True))) == len(pairs.pert)
    assert not np.any(labels.call[pairs.pert, pairs.gene] == NOT_ASKED)


def test_nothing_can_be_read_off_the_shape_even_where_hubs_are_many():
    labels = made_up_labels(np.random.default_rng(3), n_perts=100, n_genes=900)
    pairs = draw_fair(labels, rng=np.random.default_rng(4))
    graph = Structure.of(pairs.pert, pairs.gene)
    moved = labels.call[pairs.pert, pairs.gene] != CALL_NONE
    assert {name: rank(moved, score).value() for name, score in fixed_scores(graph).items()} == dict.fromkeys(
        fixed_scores(graph), 0.5
    )
    assert np.ptp(features(graph), axis=0).max() < 1e-9


def test_the_label_mix_is_as_wanted_where_the_block_can_give_it():
    labels = made_up_labels(np.random.default_rng(3), n_perts=100, n_genes=900)
    design = FairDesign(moved_share=0.3, up_share=0.6)
    pairs = draw_fair(labels, design, rng=np.random.default_rng(4))
    call = labels.call[pairs.pert, pairs.gene]
    assert np.mean(call != CALL_NONE) == pytest.approx(0.3, abs=0.01)
    assert np.mean(call[call != CALL_NONE] == 1) == pytest.approx(0.6, abs=0.02)
    assert pairs.notes == ()


def test_genes_positives_are_spread_as_by_chance():
    labels = made_up_labels(np.random.default_rng(3), n_perts=100, n_genes=900)
    pairs = draw_fair(labels, FairDesign(moved_share=0.3), rng=np.random.default_rng(4))
    moved = labels.call[pairs.pert, pairs.gene] != CALL_NONE
    per_gene = np.bincount(pairs.gene, moved)[np.unique(pairs.gene)]
    assert per_gene.var() == pytest.approx(5 * 0.3 * 0.7, rel=0.15)


def test_a_small_block_gets_fewer_rows_and_says_so():
    labels = made_up_labels(np.random.default_rng(3), n_perts=5, n_genes=40, own=3)
    pairs = draw_fair(labels, rng=np.random.default_rng(4))
    assert "instead of 20 and 5, as more do not fit" in pairs.notes[0]
    with pytest.raises(InputError, match="1 perturbation × 40 genes have too few clear pairs"):
        draw_fair(labels.block(np.arange(1), np.arange(40)), rng=np.random.default_rng(4))


def test_blocks_of_one_file_are_alike_in_row_counts_and_label_mix():
    strong = made_up_labels(np.random.default_rng(3), n_perts=12, n_genes=200)
    weak = made_up_labels(np.random.default_rng(5), n_perts=12, n_genes=60)
    weak.call[:5] = np.where(np.abs(weak.call[:5]) == 1, CALL_NONE, weak.call[:5])
    shapes, shares = set(), []
    for labels, pairs in zip(
        (strong, weak), draw_fair_together([strong, weak], rng=np.random.default_rng(4)), strict=True
    ):
        shapes.add((np.bincount(pairs.pert).max(), np.bincount(pairs.gene).max()))
        shares.append(np.mean(np.abs(labels.call[pairs.pert, pairs.gene]) == 1))
    assert len(shapes) == 1
    assert shares[0] == pytest.approx(shares[1], abs=0.003)
    assert (
        np.mean(np.abs(strong.call[(p := draw_fair(strong, rng=np.random.default_rng(4))).pert, p.gene]) == 1)
        > 0.35
    )


def test_the_same_generator_gives_the_same_pairs_sorted_by_name():
    labels = made_up_labels(np.random.default_rng(3))
    one, two = (draw_fair(labels, rng=np.random.default_rng(9)).questions(labels) for _ in range(2))
    assert one.id.tolist() == two.id.tolist()
    names = list(zip(one.pert, one.gene, strict=True))
    assert names == sorted(names)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_matching_meets_margins_that_some_graph_has(seed):
    rng = np.random.default_rng(seed)
    able = rng.random((12, 20)) < 0.5
    hidden = able & (rng.random(able.shape) < 0.4)
    edges = margins_matching(able, hidden.sum(axis=1), hidden.sum(axis=0), rng=rng)
    found = np.zeros(able.shape, int)
    np.add.at(found, (edges[0], edges[1]), 1)
    assert found.max(initial=0) <= 1
    assert np.array_equal(found.sum(axis=1), hidden.sum(axis=1))
    assert np.array_equal(found.sum(axis=0), hidden.sum(axis=0))
    assert not np.any(found.astype(bool) & ~able)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_swaps_keep_both_margins_and_stay_on_able_pairs(seed):
    rng = np.random.default_rng(seed)
    able = rng.random((8, 15)) < 0.6
    edges = np.array(np.nonzero(able & (rng.random(able.shape) < 0.4)))
    swapped = swap_edges(edges, able, rng=rng, proposals=20)
    assert able[swapped[0], swapped[1]].all()
    assert len(set(map(tuple, swapped.T))) == edges.shape[1]
    for axis, n in enumerate(able.shape):
        assert np.array_equal(np.bincount(edges[axis], minlength=n), np.bincount(swapped[axis], minlength=n))


def test_swaps_reach_every_graph_about_equally_often():
    rng = np.random.default_rng(0)
    seen: dict[bytes, int] = {}
    for _ in range(3000):
        edges = swap_edges(np.array([[0, 1, 2], [0, 1, 2]]), np.ones((3, 3), bool), rng=rng, proposals=20)
        order = np.argsort(edges[0])
        seen[edges[1][order].tobytes()] = seen.get(edges[1][order].tobytes(), 0) + 1
    assert len(seen) == 6
    assert max(seen.values()) / min(seen.values()) < 1.4
