"""Every way in which a named gene can turn out, the rule on the whole, and what chance would bear out."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.lab import Hypothesis, Measurements, Move, by_chance, settle
from perturbarena.lab.hypotheses import expected_moves, verdict_of

GENES = np.array(["a", "b", "c", "d"], object)


def seen(log2fc, fdr, se=0.1):
    shape = np.shape(log2fc)
    names = np.array([f"K{i}" for i in range(shape[0])], object)
    return Measurements(names, GENES, np.array(log2fc), np.array(log2fc), np.full(shape, se), np.array(fdr))


def said(*moves, knockout="K0"):
    return Hypothesis(knockout, moves, "because", "test", 0.5)


def test_each_way_a_gene_can_turn_out():
    found = seen([[0.8, -0.8, 0.02, 0.3]], [[0.01, 0.01, 0.6, 0.2]])
    moves = (
        Move("a", "up", 0.9, 0.7),
        Move("b", "up", 0.9, 0.7),
        Move("c", "up", 0.9, 0.7),
        Move("d", "up", 0.9, 0.7),
    )
    assert settle(said(*moves), found).genes == ("as said", "other way", "still", "open")
    assert settle(said(Move("zz", "up", 0.9)), found).genes == ("open",)
    assert settle(said(*moves, knockout="K9"), found).verdict == "open"
    noisy = seen([[0.02, 0, 0, 0]], [[0.6, 1, 1, 1]], se=0.5)
    assert settle(said(Move("a", "up", 0.9, 0.7)), noisy).genes == ("open",)


@pytest.mark.parametrize(
    ("genes", "verdict"),
    [
        (["as said", "as said", "open"], "borne out"),
        (["as said", "as said", "still"], "borne out"),
        (["as said", "still"], "open"),
        (["as said"], "borne out"),
        (["as said", "open"], "open"),
        (["other way", "still", "open", "open"], "refuted"),
        (["other way", "still", "as said"], "refuted"),
        (["open"] * 4, "open"),
        ([], "open"),
    ],
)
def test_the_rule(genes, verdict):
    assert verdict_of(genes) == verdict


def test_chance_is_what_other_knockouts_bear_out():
    alike = seen([[0.8, 0.8, 0, 0], [0.9, 0.9, 0, 0]], [[0.01, 0.01, 1, 1]] * 2)
    apart = seen([[0.8, 0.8, 0, 0], [0, 0, 0.9, 0.9]], [[0.01, 0.01, 1, 1], [1, 1, 0.01, 0.01]])
    first = said(Move("a", "up", 0.9, 0.7), Move("b", "up", 0.9, 0.7))
    assert by_chance([first], alike) == 1.0
    assert by_chance([first], apart) == 0.0
    assert np.isnan(by_chance([first], alike.rows(["K0"])))


def test_moves_are_those_that_differ_from_the_usual_knockout():
    mean, usual = np.array([0.9, 0.9, -0.5, 0.05]), np.array([0.9, 0.1, 0.1, 0.0])
    found = expected_moves(mean, np.full(4, 0.3), GENES, usual=usual, own="x")
    assert [(m.gene, m.direction) for m in found] == [("b", "up"), ("c", "down"), ("a", "up")]
    assert all(0.5 < m.sure <= 1 for m in found)
    assert "b" not in {m.gene for m in expected_moves(mean, np.full(4, 0.3), GENES, usual=usual, own="b")}


def test_a_hypothesis_reads_back():
    one = said(Move("a", "up", 0.9, 0.7), Move("b", "down", 0.6))
    assert Hypothesis.from_json(one.as_json()) == one
    assert one.said() == "a ↑, b ↓"
