"""What a pair shares, and what only a gene and a perturbation together tell."""

import numpy as np
import pytest
from scipy import sparse

from perturbarena.challenge.records import LabelledQuestions, Questions
from perturbarena.knowledge import GeneFeatures, GeneSetCollection
from perturbarena.stats.auroc import rank
from perturbarena.tracks import TransferSettings, fit_transfer
from perturbarena.tracks.transfer_design import Design

N_PERTS, N_GENES = 40, 120


def planted(seed, moves):
    """Half of each gene's rows moved, as ``moves(pert module, gene module)`` says; modules are 0 … 3."""
    rng = np.random.default_rng(seed)
    names = np.array([f"P{i}" for i in range(N_PERTS)] + [f"G{i}" for i in range(N_GENES)], object)
    module = rng.integers(4, size=len(names))
    cells = rng.choice(N_PERTS * N_GENES, 2400, replace=False)
    pert, gene = cells // N_GENES, N_PERTS + cells % N_GENES
    label = np.where(moves(module[pert], module[gene]), "up", "none").astype(object)
    return LabelledQuestions(Questions.from_pairs(names[pert], names[gene]), label), names, module


def within_genes(rows, features, **options):
    """DE AUROC within genes of perturbations and genes not trained on."""
    low = [np.array([int(name[1:]) for name in names]) for names in (rows.pert, rows.gene)]
    train = rows.take((low[0] < N_PERTS // 2) & (low[1] < N_GENES // 2))
    test = rows.take((low[0] >= N_PERTS // 2) & (low[1] >= N_GENES // 2))
    p = fit_transfer(train, features, rng=np.random.default_rng(0), **options).answer(test.questions).p_de
    values = [
        rank(test.is_de[at], p[at]).value()
        for at in (test.gene == g for g in set(test.gene))
        if 0 < test.is_de[at].sum() < at.sum()
    ]
    return float(np.mean(values))


def test_shared_sets_tell_which_knockout_moves_a_gene():
    rows, names, module = planted(0, lambda p, g: p == g)
    membership = sparse.csr_matrix(np.eye(4)[module])
    sets = GeneSetCollection("any", names, np.array(list("abcd"), object), membership, "planted")
    noise = GeneFeatures("expression", names, np.random.default_rng(1).normal(size=(len(names), 3)), "noise")
    assert within_genes(rows, [noise, sets]) > 0.9
    without = within_genes(rows, [noise, sets], settings=TransferSettings(pair_columns=False))
    assert abs(without - 0.5) < 0.15


def test_products_of_features_tell_what_neither_side_tells():
    """A rule of both modules that leaves every gene and every perturbation at one half."""
    rows, names, module = planted(2, lambda p, g: (p + g) % 2 == 0)
    features = GeneFeatures("features", names, np.eye(4)[module] + 0.0, "modules")
    assert within_genes(rows, [features]) > 0.9


def test_a_pair_of_unknown_names_is_average_in_every_pair_column():
    rows, names, module = planted(3, lambda p, g: p == g)
    membership = sparse.csr_matrix(np.eye(4)[module])
    sets = GeneSetCollection("any", names, np.array(list("abcd"), object), membership, "planted")
    table = GeneFeatures("expression", names, np.random.default_rng(1).normal(size=(len(names), 3)), "noise")
    design = Design.learn(rows.questions, [table, sets])
    values = design.pairs.values(np.array(["P1", "Nobody"], object), np.array(["Nothing", "G1"], object))
    assert (values == 0).all()
    known = design.pairs.values(rows.pert, rows.gene)
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-9)
    assert known.std(axis=0) == pytest.approx(np.ones(known.shape[1]))
