import numpy as np
import pandas as pd
import pytest
from effects_cases import GOLDEN, load_golden

from perturbarena.errors import InputError
from perturbarena.stats.size_factors import EMPTY_CELL, normed_sum


@pytest.mark.parametrize("name", ["small", "edge_zerocells"])
def test_equals_the_reference(name):
    reference = pd.read_csv(GOLDEN / f"{name}_cells.csv.gz")["size_factor"]
    assert normed_sum(load_golden(name).counts.sum(0)) == pytest.approx(reference, rel=1e-12)


def test_geometric_mean_of_counted_cells_is_one():
    factor = normed_sum(np.array([10, 0, 1000, 50]))
    assert factor[1] == EMPTY_CELL
    assert np.prod(factor[[0, 2, 3]]) == pytest.approx(1)
    assert factor[2] / factor[0] == pytest.approx(100)


def test_refuses_cells_that_are_all_empty():
    with pytest.raises(InputError, match="all 3 cells are empty"):
        normed_sum(np.zeros(3))
