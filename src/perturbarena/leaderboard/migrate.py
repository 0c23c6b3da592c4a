"""Bringing a database to the tables of this version, once, whoever comes first."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final

from sqlalchemy import Engine, inspect, text

from perturbarena.errors import FormatError
from perturbarena.leaderboard.store import Store

MIGRATION_LOCK: Final = 0x7065727475726242
"""Number of PostgreSQL's advisory lock."""


def upgrade(store: Store) -> None:
    """Apply the migrations that the database has not seen.

    Raises
    ------
    FormatError
        If the database was made by a later version of this program.
    """
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = migration_config(store.engine)
    known = ScriptDirectory.from_config(config)
    with store.engine.connect() as connection:
        at = MigrationContext.configure(connection).get_current_revision()
    if at == known.get_current_head():
        return
    if at is not None and at not in {script.revision for script in known.walk_revisions()}:
        raise FormatError(
            f"the database has the schema {at}, which this version does not know; update perturbarena"
        )
    with _alone(store), store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def schema_revision(engine: Engine) -> str | None:
    """The database's schema; None where it is empty."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migration_config(engine: Engine) -> Any:
    """Alembic's configuration for the migrations in this package."""
    from alembic.config import Config

    config = Config()
    folder = resources.files("perturbarena.leaderboard").joinpath("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """One process at a time on this machine, and one on the database server."""
    with (store.folder.path / ".migrating").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if store.engine.dialect.name != "postgresql":
            yield
            return
        with store.engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:k)"), {"k": MIGRATION_LOCK})
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:k)"), {"k": MIGRATION_LOCK})
