"""How alembic reaches the database: by the connection that :mod:`perturbarena.leaderboard.migrate` hands over."""

from alembic import context

from perturbarena.leaderboard.schema import Base, UtcTime


def render_item(kind, item, autogen_context):
    """Write times as plain DateTime, so that a migration does not depend on this package."""
    del autogen_context
    return "sa.DateTime()" if kind == "type" and isinstance(item, UtcTime) else False


if "connection" in context.config.attributes:
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()
