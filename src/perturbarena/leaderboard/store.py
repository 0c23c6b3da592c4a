"""The database behind one door: sessions that read, and sessions that write, one writer at a time.

Every change takes the writer's lock first (``BEGIN IMMEDIATE`` in SQLite, an advisory lock in PostgreSQL), so that
limits, leases and the chain of events need no further thought about who else is writing. Writes are short; readers
never wait.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError, TimeoutError
from sqlalchemy.orm import Session

from perturbarena.challenge.formats import read_questions
from perturbarena.challenge.records import Questions
from perturbarena.challenge.rules import Challenge, parse_challenge
from perturbarena.errors import BoardError, FormatError, MissingExtraError
from perturbarena.leaderboard.folder import ChallengeFolder, database_url
from perturbarena.leaderboard.schema import ChallengeRow

WRITER_LOCK: Final = 0x7065727475726241
"""Number of PostgreSQL's advisory lock."""
BUSY_SECONDS: Final = 30
"""How long a writer waits for another in SQLite."""


def utc_now() -> datetime:
    """The time, with its zone."""
    return datetime.now(UTC)


class Store:
    """An opened challenge: its folder and its database.

    ``clock`` tells the time everywhere below, so that tests can let a deadline pass. Domain operations take a
    store as their first argument.
    """

    def __init__(
        self, folder: ChallengeFolder, engine: Engine, *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.folder = folder
        self.engine = engine
        self.clock = clock
        self.cache: dict[Any, Any] = {}
        """Room for what is worked out once and kept, see :mod:`perturbarena.leaderboard.board`."""

    def now(self) -> datetime:
        """The time by the store's clock."""
        return self.clock()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database and changes nothing.

        Raises
        ------
        BoardError
            With the reason ``storage`` if the database cannot be reached.
        """
        engine = self.engine
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with _database_errors(), Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session with the writer's lock; committed when the block ends well, rolled back otherwise.

        Raises
        ------
        BoardError
            With the reason ``storage`` if the database cannot be reached, or its disk is full.
        """
        engine = self.engine.execution_options(writer=True)
        with _database_errors(), Session(engine, expire_on_commit=False) as session, session.begin():
            if self.engine.dialect.name == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:k)"), {"k": WRITER_LOCK})
            yield session

    @cached_property
    def rules(self) -> Challenge:
        """The challenge's rules, as they were when it was made."""
        with self.reading() as session:
            return parse_challenge(challenge_row(session).rules.encode(), source="rules.toml")

    @cached_property
    def questions(self) -> Questions:
        """The hidden questions."""
        return read_questions(self.folder.questions)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def open_store(folder: Path | str, *, url: str | None = None, clock: Callable[[], datetime] = utc_now) -> Store:
    """Open a challenge's folder, bringing its database up to date.

    Raises
    ------
    FormatError
        If the folder holds no challenge.
    BoardError
        If the database cannot be reached.
    """
    from perturbarena.leaderboard.migrate import upgrade

    place = ChallengeFolder(Path(folder))
    store = Store(place, make_engine(database_url(place, url)), clock=clock)
    with _database_errors():
        upgrade(store)
    with store.reading() as session:
        challenge_row(session)
    return store


def make_engine(url: str) -> Engine:
    """An engine for SQLite or PostgreSQL.

    Raises
    ------
    FormatError
        If the URL names another database, or none.
    """
    if not url.startswith(("sqlite://", "postgresql")):
        raise FormatError(f"the database must be SQLite or PostgreSQL; got {url.partition(':')[0][:40]!r}")
    try:
        engine = create_engine(url, pool_pre_ping=True, pool_size=10, max_overflow=40)
    except (ArgumentError, NoSuchModuleError) as error:
        raise FormatError(f"not a database URL for SQLite or PostgreSQL: {error}") from error
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"PostgreSQL needs {error.name}: pip install 'perturbarena[board]'") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def challenge_row(session: Session) -> ChallengeRow:
    """The challenge.

    Raises
    ------
    FormatError
        If the database holds none.
    """
    row = session.get(ChallengeRow, 1)
    if row is None:
        raise FormatError(
            "the database holds no challenge; 'perturbarena board create' or 'board restore' makes one"
        )
    return row


def bump(session: Session) -> None:
    """Note that what the board shows has changed."""
    challenge_row(session).version += 1


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # what a receipt promises must survive a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    writer = connection.get_execution_options().get("writer", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")


@contextmanager
def _database_errors() -> Iterator[None]:
    """A database that is gone, locked or full is told in one line; everything else is a defect and passes."""
    try:
        yield
    except TimeoutError as error:
        raise BoardError("the database is too busy; try again in a moment", reason="storage") from error
    except (OperationalError, DBAPIError) as error:
        if isinstance(error, OperationalError) or error.connection_invalidated:
            line = " ".join(str(error.orig).split())
            raise BoardError(f"the database cannot be used: {line}", reason="storage") from error
        raise
