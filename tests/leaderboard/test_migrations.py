"""The migrations make the tables that the code expects, and know what they do not know."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from perturbarena.errors import FormatError
from perturbarena.leaderboard import ChallengeFolder, Store, open_store
from perturbarena.leaderboard.migrate import schema_revision, upgrade
from perturbarena.leaderboard.schema import Base
from perturbarena.leaderboard.store import make_engine


def test_the_migrated_tables_are_the_declared_ones(each_store):
    with each_store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": False})
        assert compare_metadata(context, Base.metadata) == []


def test_a_database_of_a_later_version_is_refused(store):
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(FormatError, match="which this version does not know"):
        open_store(store.folder.path)


def test_processes_that_start_together_migrate_once(postgres, tmp_path):
    url = postgres.new_database()
    stores = [Store(ChallengeFolder(tmp_path), make_engine(_driver(url))) for _ in range(3)]
    errors: list[Exception] = []

    def start(store: Store) -> None:
        try:
            upgrade(store)
        except Exception as error:  # noqa: BLE001 — told below
            errors.append(error)

    threads = [threading.Thread(target=start, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert schema_revision(stores[0].engine) == "0001"
    for store in stores:
        store.close()


def _driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")
