import numpy as np
import pytest

from perturbarena.challenge.words import counted


@pytest.mark.parametrize(
    ("n", "said"),
    [(0, "0 genes"), (1, "1 gene"), (2, "2 genes"), (12345, "12,345 genes"), (np.int64(1), "1 gene")],
)
def test_a_noun_stands_in_the_number_that_fits(n, said):
    assert counted(n, "gene") == said


def test_an_irregular_plural_is_given():
    assert [counted(n, "stratum", "strata") for n in (1, 2)] == ["1 stratum", "2 strata"]
