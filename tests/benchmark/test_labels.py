import numpy as np
import pytest

from perturbarena.benchmark.labels import (
    CALL_DOWN,
    CALL_NONE,
    CALL_UP,
    NOT_ASKED,
    Effects,
    LabelSettings,
    label_effects,
)
from perturbarena.errors import InputError

ALL = LabelSettings(min_degs=1, min_share_of_control_cells=0.0)


def effects(log2fc, fdr, *, perts=("Jak1",), genes=None, share=None):
    log2fc, fdr = np.atleast_2d(np.array(log2fc, float)), np.atleast_2d(np.array(fdr, float))
    genes = [f"g{i}" for i in range(log2fc.shape[1])] if genes is None else genes
    share = np.ones(len(genes)) if share is None else np.array(share)
    return Effects(np.array(perts, object), np.array(genes, object), log2fc, fdr, share)


def test_what_lies_between_moved_and_unchanged_is_never_asked():
    log2fc = [0.6, -0.6, 0.58, 0.6, 0.24, 0.26, np.nan, -0.2]
    fdr = [0.049, 0.01, 0.01, 0.06, 0.05, 0.9, np.nan, 0.01]
    called = label_effects(effects(log2fc, fdr), ALL).call[0]
    expected = [CALL_UP, CALL_DOWN, NOT_ASKED, NOT_ASKED, CALL_NONE, NOT_ASKED, NOT_ASKED, NOT_ASKED]
    assert called.tolist() == expected


def test_the_perturbed_gene_is_asked_only_when_told():
    table = effects([-2.0, 1.0], [0.001, 0.001], genes=["Jak1", "Stat1"])
    assert label_effects(table, ALL).call[0].tolist() == [NOT_ASKED, CALL_UP]
    assert label_effects(table, ALL.model_copy(update={"ask_self": True})).call[0].tolist() == [CALL_DOWN, CALL_UP]


def test_genes_below_the_expression_floor_are_gone():
    settings = ALL.model_copy(update={"min_share_of_control_cells": 0.1})
    labels = label_effects(effects([1.0, 1.0, 1.0], [0.0] * 3, share=[0.05, 0.1, 0.5]), settings)
    assert labels.genes.tolist() == ["g1", "g2"]
    with pytest.raises(InputError, match=r"no gene is seen in 10\.0% of control cells; the most is 5\.0%"):
        label_effects(effects([1.0], [0.0], share=[0.05]), settings)


def test_weak_perturbations_are_left_out_and_listed():
    table = effects(
        [[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [np.nan] * 3],
        [[0, 0, 1], [0, 1, 1], [np.nan] * 3],
        perts=["a", "b", "c"],
    )
    labels = label_effects(table, ALL.model_copy(update={"min_degs": 2}))
    assert labels.perturbations.tolist() == ["a"]
    assert labels.left_out == {"b": "1 moved gene, fewer than 2", "c": "not estimated"}
    with pytest.raises(InputError, match="no perturbation moves 9 genes; the strongest, a, moves 2"):
        label_effects(table, LabelSettings())


def test_names_must_differ():
    with pytest.raises(InputError, match="every gene needs a name of its own; x stands twice"):
        label_effects(effects([1.0, 1.0], [0.0, 0.0], genes=["x", "x"]), ALL)
