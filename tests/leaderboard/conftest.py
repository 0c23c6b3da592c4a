"""Fixtures of the board's tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.leaderboard.board_cases import Clock, new_store
from tests.leaderboard.postgres import Server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    """A challenge in SQLite."""
    made = new_store(tmp_path, clock=clock)
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A running PostgreSQL server, or a skip with the reason."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        server = Server(folder)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def each_store(request, tmp_path, clock):
    """The same challenge in either database."""
    url = request.getfixturevalue("postgres").new_database() if request.param == "postgresql" else None
    made = new_store(tmp_path, url=url, clock=clock)
    yield made
    made.close()
