"""Values by a naive loop, and what a wrong programme gets."""

from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.lab import Objective

GENES = np.array(["A", "B", "C", "D"], object)
PROFILES = np.array([[1.0, -2.0, 0.5, 0.0], [0.2, 0.4, -1.0, 3.0]])


def test_hits_is_the_weighted_mean_without_the_knockouts_own_gene():
    aim = Objective.of("hits", {"A": 1.0, "B": -2.0})
    found = aim.value(PROFILES, GENES, knocked_out=np.array(["X", "A"], object))
    assert found == pytest.approx([(1 * 1.0 + -2 * -2.0) / 3, -2 * 0.4 / 2])


def test_pathway_and_everything_are_root_mean_squares():
    pathway = Objective.of("pathway", {"A": 1.0, "D": -1.0})
    everything = Objective.of("everything", {"A": 1.0})
    names = np.array(["X", "C"], object)
    assert pathway.value(PROFILES, GENES, knocked_out=names) == pytest.approx([np.sqrt(0.5), np.sqrt(9.04 / 2)])
    assert everything.value(PROFILES, GENES, knocked_out=names) == pytest.approx(
        [np.sqrt(5.25 / 4), np.sqrt((0.04 + 0.16 + 9) / 3)]
    )
    assert everything.genes == ()


def test_an_objective_reads_back():
    aim = Objective.of("hits", {"A": 1.0, "B": -2.0}, hit_above=0.7)
    assert Objective.from_json(aim.as_json()) == aim


def test_missing_genes_are_named_and_too_many_refused():
    assert Objective.of("hits", {"A": 1, "B": 1}).check(GENES) == ""
    assert "1 gene of the 3" in Objective.of("hits", {"A": 1, "B": 1, "Zz": 1}).check(GENES)
    with pytest.raises(InputError, match="at least half must be"):
        Objective.of("hits", {"A": 1, "Yy": 1, "Zz": 1}).check(GENES)


@pytest.mark.parametrize(
    ("kind", "programme", "words"),
    [("best", {"A": 1}, "one of hits"), ("hits", {}, "needs a programme"), ("pathway", {}, "pathway's genes"),
     ("hits", {"A": 0.0}, "not all of them 0"), ("hits", {"A": float("nan")}, "must be numbers")],
)  # fmt: skip
def test_wrong_aims(kind, programme, words):
    with pytest.raises(InputError, match=words):
        Objective.of(kind, programme)
