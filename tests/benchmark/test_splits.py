import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_cases import made_up_labels
from pydantic import ValidationError

from perturbarena.benchmark.splits import SPLITS, SplitSettings, split_labels
from perturbarena.errors import InputError


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), across=st.booleans(), n_groups=st.integers(0, 30))
def test_splits_are_disjoint_and_groups_are_never_cut(seed, across, n_groups):
    rng = np.random.default_rng(seed)
    labels = made_up_labels(rng, n_perts=40, n_genes=200)
    members = rng.choice(labels.genes, 2 * n_groups, replace=False)
    groups = {name: f"k{i // 2}" for i, name in enumerate(members)}
    splits = split_labels(labels, SplitSettings(across=across, draws=3), rng=rng, groups=groups)
    assert set(splits.pert) <= set(SPLITS)
    assert set(splits.gene) <= set(SPLITS)
    of_pert = dict(zip(labels.perturbations, splits.pert, strict=True))
    of_gene = dict(zip(labels.genes, splits.gene, strict=True))
    for k in range(n_groups):
        assert of_gene[members[2 * k]] == of_gene[members[2 * k + 1]]
    if across:
        assert all(of_pert[name] == split for name, split in of_gene.items() if name in of_pert)
    names = [set(splits.block(labels, s).perturbations) for s in SPLITS]
    assert sum(map(len, names)) == len(labels.perturbations) == len(set.union(*names))


def test_the_published_sizes():
    labels = made_up_labels(np.random.default_rng(0), n_perts=482, n_genes=1000)
    splits = split_labels(labels, rng=np.random.default_rng(1))
    assert [int((splits.pert == s).sum()) for s in SPLITS] == [386, 48, 48]
    assert [int((splits.gene == s).sum()) for s in SPLITS] == [600, 200, 200]


def test_many_draws_make_splits_more_alike_than_one():
    labels = made_up_labels(np.random.default_rng(0), n_perts=100, n_genes=300)

    def unevenness(draws):
        apart = []
        for seed in range(8):
            splits = split_labels(labels, SplitSettings(draws=draws), rng=np.random.default_rng(seed))
            moved = [row["moved_genes"] for row in splits.balance(labels)]
            apart.append(max(moved) - min(moved))
        return np.mean(apart)

    assert unevenness(200) < 0.5 * unevenness(1)


def test_the_same_generator_gives_the_same_splits():
    labels = made_up_labels(np.random.default_rng(0))
    one, two = (split_labels(labels, rng=np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.pert, two.pert)
    assert np.array_equal(one.gene, two.gene)


def test_too_few_perturbations_are_refused():
    labels = made_up_labels(np.random.default_rng(0), n_perts=4)
    with pytest.raises(InputError, match="needs perturbations; 4 kept perturbations were dealt 4, 0, 0"):
        split_labels(labels, rng=np.random.default_rng(0))


def test_shares_must_add_up():
    with pytest.raises(ValidationError, match=r"shares of genes must add up to 1; got 0\.6 \+ 0\.2 \+ 0\.1"):
        SplitSettings(genes=(0.6, 0.2, 0.1))
