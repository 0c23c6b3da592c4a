"""Fixtures of the web service's tests."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient
from tests.leaderboard.service.trial import Trial, make_trial

from perturbarena.leaderboard.service import ServiceSettings, create_app

FAST = ServiceSettings(fresh_seconds=0.0, patience_seconds=60.0)
"""Every page is checked for changes, so that tests see them at once."""


@pytest.fixture
def trial(tmp_path) -> Trial:
    """A challenge of the test's own."""
    made = make_trial(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def client(trial) -> TestClient:
    """A client of a service around it, without following redirects."""
    return TestClient(create_app(trial.store, FAST), follow_redirects=False, raise_server_exceptions=False)
