"""Fixtures that several test files use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("steady", deadline=None)  # a busy machine is no failure
settings.load_profile("steady")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data, or a skip with the reason."""
    folder = Path(os.environ.get("PERTURBARENA_TEST_DATA", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"real data is not at {folder} (set PERTURBARENA_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Reference numbers made with the original software; they travel with the repository."""
    return Path(__file__).parent / "golden"
