"""For all tests of fine-tuning."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """These models are so small that threads cost more than they bring, above all on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
