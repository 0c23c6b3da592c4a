from __future__ import annotations

import numpy as np
import pytest

from perturbarena.errors import InputError
from perturbarena.stats.components import variance_components


def test_known_components_come_back():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 2, 4000) + rng.normal(0, 1, (3, 4000))
    found = variance_components(values)
    assert found.between == pytest.approx(4, rel=0.1)
    assert found.within == pytest.approx(1, rel=0.1)
    assert found.share(1) == pytest.approx(0.8, abs=0.02)
    assert found.share(3) == pytest.approx(12 / 13, abs=0.02)


def test_pure_noise_has_no_share_and_constants_have_none_to_share():
    noise = variance_components(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert noise.between < 0
    assert noise.share(5) == 0
    assert np.isnan(variance_components(np.ones((2, 3))).share(1))


def test_a_single_draw_is_refused():
    with pytest.raises(InputError, match="at least 2 draws"):
        variance_components(np.ones((1, 5)))
