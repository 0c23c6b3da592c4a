"""How alembic reaches the database: by the connection that :mod:`perturbarena.leaderboard.migrate` hands over."""

from alembic import context

from perturbarena.leaderboard.schema import Base, UtcTime


def render_item(kind, item, autogen_context):
    """Write times as plain DateTime, so that a migration does not depend on this package."""
    del autogen_context
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcTime) else False


_config = getattr(context, "config", None)  # there is one only while alembic runs this file
if _config is not None and "connection" in _config.attributes:
    context.configure(
        connection=_config.attributes["connection"], target_metadata=Base.metadata, render_item=render_item
    )
    with context.begin_transaction():
        context.run_migrations()
