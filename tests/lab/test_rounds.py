"""What arrives against what was ordered, without any file."""

from __future__ import annotations

import numpy as np
import pytest
from tests.lab.worlds import world

from perturbarena.errors import InputError
from perturbarena.lab import Arrived, Expectation, Hypothesis, check_arrival, check_genes, plate_table, surprises
from perturbarena.lab.proposal import Proposed

MEASURED = world(knockouts=12).measured
ALL = frozenset(MEASURED.perturbations)


def pick(name: str, value: float = 0.2, probability: float | None = 0.3, why: str = "because") -> Proposed:
    return Proposed(name, 1.0, value, 0.1, Hypothesis(name, (), why, "test", probability))


def test_before_any_order_everything_that_is_a_candidate_is_taken():
    came = check_arrival(MEASURED, {}, Expectation(ALL - {"Ko3"}, frozenset()), source="f")
    assert len(came.measured) == 11
    assert came.unknown == ("Ko3",)
    assert came.unordered == came.missing == came.late == ()
    assert Arrived.from_json(came.as_json()) == came


def test_failures_share_their_reason():
    lost = MEASURED.rows(["Ko0", "Ko1", "Ko2"])
    lost.effect[:2] = np.nan
    order = Expectation(ALL, frozenset(), ["Ko0", "Ko1", "Ko2"])
    came = check_arrival(lost, {"Ko0": "too few cells", "Ko1": "too few cells"}, order, source="f")
    assert came.sentences()[1] == "2 knockouts failed and can be proposed again (Ko0, Ko1: too few cells)"
    assert check_arrival(lost, {}, order, source="f").failed["Ko0"] == "no effects in the file"


def test_guides_are_missed_only_where_their_knockout_came():
    order = Expectation(ALL, frozenset(), ["Ko0", "Ko1"], guides={"Ko0": ["a", "b"], "Ko1": ["c"]})
    came = check_arrival(MEASURED.rows(["Ko0"]), {}, order, source="f", guides_seen=frozenset({"a"}))
    assert came.guides_missing == ("b",)
    assert came.missing == ("Ko1",)
    assert check_arrival(MEASURED.rows(["Ko0"]), {}, order, source="f").guides_missing is None


def test_genes_that_are_missing():
    genes = MEASURED.genes
    assert check_genes(MEASURED, genes, source="f") == ""
    assert "20 genes of 80" in check_genes(MEASURED.on(genes[:60]), genes, source="f")
    with pytest.raises(InputError, match="it lacks 60"):
        check_genes(MEASURED.on(genes[:20]), genes, source="f")


def test_surprises_come_largest_first_and_only_where_something_was_expected():
    picks = [pick("A"), pick("B", 0.5), pick("C", probability=None), pick("D")]
    found = surprises(picks, {"A": 0.25, "B": -0.5, "C": 9.0}, {"A": 0.7})
    assert [(s.name, round(s.z, 2)) for s in found] == [("B", -10.0), ("A", 0.5)]
    assert found[0].as_json()["r"] is None


def test_a_plate_quotes_what_a_spreadsheet_would_run():
    table = plate_table([pick("A", why='=HYPERLINK("x")\nnow'), pick("B")], {"A": ("g1", "g2")}, wells=384)
    assert table["reason"].tolist() == ['\'=HYPERLINK("x") now'] * 2 + ["because"]
    assert table["well"].tolist() == ["A01", "B01", "C01"]
    assert table["guide"].tolist() == ["g1", "g2", ""]
    assert len(plate_table([pick("A")], {})) == 1
