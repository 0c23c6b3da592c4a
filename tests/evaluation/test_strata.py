import numpy as np
import pandas as pd
import pytest
from scoring_cases import question_set

from perturbarena.errors import FormatError
from perturbarena.evaluation.metric import ScoredRows, measure
from perturbarena.evaluation.strata import score_strata


def run(path, seed=0):
    truth, answers = question_set(seed)
    rows = ScoredRows.of(truth, answers)
    return truth, rows, score_strata(rows, truth, path, rng=np.random.default_rng(0), n_resamples=20)


def test_classes_of_genes_and_quarters_of_numbers(tmp_path):
    truth, _ = question_set(0)
    genes = sorted(set(truth.gene))
    table = pd.DataFrame({"gene": genes, "class": ["a" if g < "G3" else "b" for g in genes]})
    table["expression"] = np.arange(len(genes)) / 7
    table.loc[0, "class"] = ""
    table.to_csv(tmp_path / "strata.csv", index=False)
    truth, rows, found = run(tmp_path / "strata.csv")
    assert [(s.by, s.value) for s in found.strata][:2] == [("class", "a"), ("class", "b")]
    assert len(found.strata) == 6
    blank = int((truth.gene == genes[0]).sum())
    assert found.left_out == {"class": blank, "expression": 0}
    assert sum(s.result.n for s in found.strata[:2]) == len(truth) - blank
    assert sum(s.result.n for s in found.strata[2:]) == len(truth)
    of = np.array([g < "G3" and g != genes[0] for g in truth.gene])
    by_hand = measure(rows.take(of), rng=np.random.default_rng(0), n_resamples=0)
    assert found.strata[0].result.score == by_hand.score
    assert found.strata[0].result.intervals["score"] is not None


def test_numbers_with_few_values_are_levels_in_order(tmp_path):
    truth, _ = question_set(0)
    pd.DataFrame({"id": truth.id, "support": np.arange(len(truth)) % 3 * 5}).to_csv(
        tmp_path / "s.csv", index=False
    )
    assert [s.value for s in run(tmp_path / "s.csv")[2].strata] == ["0", "5", "10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,class\nG1,a\n", "needs id, or pert and gene"),
        ("gene\nG1\n", "needs id, or pert and gene"),
        ("gene,class\nG1,a\nG1,b\n", "G1 may stand once"),
        ("gene,class\nnobody,a\n", "none of the 200 rows"),
    ],
)
def test_tables_that_sort_nothing_are_refused(tmp_path, text, message):
    (tmp_path / "s.csv").write_text(text)
    with pytest.raises(FormatError, match=message):
        run(tmp_path / "s.csv")
