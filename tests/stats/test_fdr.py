import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perturbarena.stats.fdr import benjamini_hochberg


def naive(pvalue):
    """The definition: for each test the least p·m/rank among tests with a p no smaller."""
    tested = [p for p in pvalue if not np.isnan(p)]
    out = []
    for p in pvalue:
        larger = [other for other in tested if other >= p]
        ranks = [sum(x <= other for x in tested) for other in larger]
        out.append(min([1.0, *(o * len(tested) / r for o, r in zip(larger, ranks, strict=True))]))
    return np.where(np.isnan(pvalue), np.nan, out)


@given(st.lists(st.one_of(st.floats(0, 1), st.just(np.nan), st.sampled_from([0.01, 0.04, 1.0])), max_size=25))
def test_equals_the_definition(pvalue):
    pvalue = np.array(pvalue, float)
    assert benjamini_hochberg(pvalue) == pytest.approx(naive(pvalue), rel=1e-12, nan_ok=True)


def test_worked_example():
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.5), "BH")
    assert benjamini_hochberg(np.array([0.5, 0.01, 0.03, 0.02])) == pytest.approx([0.5, 0.04, 0.04, 0.04])


def test_missing_values_are_no_tests():
    adjusted = benjamini_hochberg(np.array([0.01, np.nan, 0.04]))
    assert adjusted[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(adjusted[1])
    assert np.isnan(benjamini_hochberg(np.full(3, np.nan))).all()
    assert len(benjamini_hochberg(np.empty(0))) == 0
