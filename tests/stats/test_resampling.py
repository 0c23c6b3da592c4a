import time

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.stats.auroc import auroc, paired_auroc, rank
from perturbarena.stats.resampling import Replicates, auroc_interval, resample, two_way_variance


def simulated(seed=0, *, n=300, perts=20, genes=60):
    rng = np.random.default_rng(seed)
    pert, gene = rng.integers(perts, size=n), rng.integers(genes, size=n)
    positive = rng.random(n) < 0.4
    score = np.round(rng.normal(size=n) + positive + rng.normal(size=genes)[gene], 1)
    stratum = np.bincount(gene)[gene]
    rankings = [
        rank(positive, score),
        rank(rng.random(n) < 0.5, score, among=positive),
        rank(positive, score, group=stratum, combine="rows"),
        rank(positive, score, group=gene),
    ]
    return pert, gene, positive, score, rankings


def draws(key, n):
    """splitmix64 in Python's whole numbers, an index from its upper 32 bits."""
    mask, counts = 2**64 - 1, np.zeros(n, int)
    for _ in range(n):
        key = (key + 0x9E3779B97F4A7C15) & mask
        z = key
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        z ^= z >> 31
        counts[((z >> 32) * n) >> 32] += 1
    return counts


def test_a_resample_is_the_measure_with_the_drawn_counts_as_weights():
    pert, gene, _, _, rankings = simulated()
    found = resample(rankings, pert, gene, n_resamples=8, rng=np.random.default_rng(3))
    keys = np.random.default_rng(3).integers(0, 2**64, size=(3, 8), dtype=np.uint64)
    codes = [
        np.unique(pert, return_inverse=True)[1],
        np.unique(gene, return_inverse=True)[1],
        np.arange(len(pert)),
    ]
    for way, values, key in zip(codes, (found.pert, found.gene, found.row), keys, strict=True):
        for b in range(8):
            weight = draws(int(key[b]), way.max() + 1)[way]
            expected = [r.value(weight) for r in rankings]
            if way is codes[1]:  # copies of a gene are separate genes
                expected[3] = rankings[3].value(np.sqrt(weight))
            np.testing.assert_allclose(values[b], expected, atol=1e-12)


def test_a_gene_drawn_twice_is_two_genes():
    pert, gene, positive, score, rankings = simulated()
    found = resample(rankings, pert, gene, n_resamples=3, rng=np.random.default_rng(3))
    key = np.random.default_rng(3).integers(0, 2**64, size=(3, 3), dtype=np.uint64)[1, 0]
    names = np.unique(gene)
    copies = [
        (np.flatnonzero(gene == name), f"{name} {copy}")
        for name, count in zip(names, draws(int(key), len(names)), strict=True)
        for copy in range(count)
    ]
    rows = np.concatenate([r for r, _ in copies])
    renamed = np.concatenate([np.full(len(r), name) for r, name in copies])
    assert found.gene[0, 3] == pytest.approx(paired_auroc(positive[rows], score[rows], renamed).value, abs=1e-12)
    assert found.gene[0, 0] == pytest.approx(auroc(positive[rows], score[rows]), abs=1e-12)


def test_the_result_depends_on_the_seed_and_not_on_threads():
    pert, gene, _, _, rankings = simulated()
    one, two, other = (
        resample(rankings, pert, gene, n_resamples=230, rng=np.random.default_rng(seed), threads=threads)
        for seed, threads in ((5, 1), (5, 3), (6, 1))
    )
    for a, b, c in zip(*((r.pert, r.gene, r.row) for r in (one, two, other)), strict=True):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


def test_row_variance_agrees_with_a_plain_bootstrap():
    pert, gene, positive, score, rankings = simulated(n=400)
    found = two_way_variance(resample(rankings, pert, gene, n_resamples=4000, rng=np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    plain = []
    for _ in range(1500):
        rows = rng.integers(len(score), size=len(score))
        plain.append(auroc(positive[rows], score[rows]))
    assert found.row == pytest.approx(np.var(plain), rel=0.15)


def test_two_way_variance_adds_subtracts_and_has_a_floor():
    def normal(sd, seed):
        return np.random.default_rng(seed).normal(0.7, sd, size=(20_000, 1))

    apart = two_way_variance(Replicates(normal(0.03, 0), normal(0.04, 1), normal(0.02, 2), 10, 10**6, 10**6))
    assert apart.pert == pytest.approx(0.03**2 * 10 / 9, rel=0.05)
    assert apart.total == pytest.approx(apart.pert + apart.gene - apart.row)
    floored = two_way_variance(Replicates(normal(0.02, 0), normal(0.03, 1), normal(0.05, 2), 99, 99, 99))
    assert floored.total == max(floored.pert, floored.gene)


def test_a_combination_carries_the_covariance():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5000, 1))
    both = np.hstack([a, -a, np.full_like(a, np.nan)])
    combined = Replicates(both, both, both, 9, 9, 9).column((0.5, 0.5, 0))
    assert two_way_variance(combined).total == pytest.approx(0.0, abs=1e-20)


def test_undefined_where_a_class_is_too_rare():
    pert, gene = np.arange(40), np.arange(40)
    positive = np.arange(40) == 0
    found = resample([rank(positive, np.random.default_rng(0).random(40))], pert, gene, n_resamples=500,
                     rng=np.random.default_rng(0))  # fmt: skip
    assert np.isnan(found.row).mean() == pytest.approx(np.exp(-1), abs=0.1)
    assert np.isnan(two_way_variance(found).total)


def test_interval():
    low, high = auroc_interval(0.6, 0.02**2, 50)
    assert low == pytest.approx(0.6 - 2.009 * 0.02, abs=0.001)
    assert high == pytest.approx(0.6 + 2.009 * 0.02, abs=0.001)
    assert auroc_interval(0.99, 0.05**2, 5).high < 1
    assert auroc_interval(0.5, 0.0, 5) == pytest.approx((0.5, 0.5))
    for estimate, variance, df in ((1.0, 0.0, 5), (np.nan, 0.1, 5), (0.5, np.nan, 5), (0.5, 0.1, 0)):
        assert auroc_interval(estimate, variance, df) is None


def test_refuses():
    pert, gene, _, _, rankings = simulated()
    with pytest.raises(InputError, match="at least 2; got 1"):
        resample(rankings, pert, gene, n_resamples=1, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="needs rows with both"):
        resample(rankings, pert, gene[:-1], n_resamples=5, rng=np.random.default_rng(0))


def test_two_thousand_resamples_each_way_in_seconds():
    """The aim is under 1 s on 2 cores; the bound leaves room for a machine under load."""
    pert, gene, _, _, rankings = simulated(n=7705, perts=386, genes=1570)
    resample(rankings, pert, gene, n_resamples=2, rng=np.random.default_rng(0))
    start = time.perf_counter()
    resample(rankings, pert, gene, n_resamples=2000, rng=np.random.default_rng(0))
    assert time.perf_counter() - start < 4


def test_a_higher_level_gives_a_wider_interval():
    plain, wide = (auroc_interval(0.7, 0.0004, 40, level=level) for level in (0.95, 0.999))
    assert plain == auroc_interval(0.7, 0.0004, 40)
    assert plain is not None
    assert wide is not None
    assert wide.low < plain.low < 0.7 < plain.high < wide.high


def test_pairs_within_genes_are_not_held_up_by_the_variance_over_perturbations():
    def normal(sd, seed):
        return np.random.default_rng(seed).normal(0.7, sd, size=(20_000, 1))

    values = (normal(0.05, 0), normal(0.03, 1), normal(0.05, 2))
    within = np.array([True])
    free = two_way_variance(Replicates(*values, 99, 99, 99, ~within, within))
    assert free.total == max(free.gene, free.pert + free.gene - free.row) < free.pert
    assert two_way_variance(Replicates(*values, 99, 99, 99)).total >= free.pert


def test_resampling_knows_which_measures_stay_within_a_cluster():
    pert, gene, positive, score, _ = simulated(n=400)
    rankings = [rank(positive, score), rank(positive, score, group=gene), rank(positive, score, group=pert)]
    found = resample(rankings, pert, gene, n_resamples=2, rng=np.random.default_rng(0))
    assert found.in_gene.tolist() == [False, True, False]
    assert found.in_pert.tolist() == [False, False, True]
    assert found.column((0, 1, 0)).in_gene.tolist() == [True]
    assert found.column((1, 1, 0)).in_gene.tolist() == [False]


def test_groups_that_count_alike_are_averaged_as_often_as_they_are_drawn():
    pert, gene, positive, score, _ = simulated(n=400)
    ranking = rank(positive, score, group=gene, combine="groups")
    single = [rank(positive[gene == g], score[gene == g]).value() for g in np.unique(gene)]
    own = np.array([v for v in single if not np.isnan(v)])
    assert ranking.value() == pytest.approx(own.mean())
    found = resample([ranking], pert, gene, n_resamples=4000, rng=np.random.default_rng(0))
    assert np.nanstd(found.gene) == pytest.approx(own.std() / np.sqrt(len(own)), rel=0.12)
