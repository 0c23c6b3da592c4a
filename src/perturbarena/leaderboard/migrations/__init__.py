"""Alembic's migrations of the board's database, applied when it is opened."""
