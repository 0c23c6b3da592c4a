"""A challenge on disk: where its rules, questions, sealed truth, files and database lie.

``config.toml`` names the database and nothing secret: a password comes from the environment, where PostgreSQL's
own variables (PGPASSWORD, PGPASSFILE) are understood.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perturbarena.errors import FormatError

FORMAT_VERSION: Final = 1
"""Of ``config.toml`` and of the folder's layout."""
DATABASE_VARIABLE: Final = "PERTURBARENA_DATABASE"
"""Environment variable with a database URL; it goes before ``config.toml``."""


@dataclass(frozen=True, slots=True)
class ChallengeFolder:
    """Paths below a challenge's folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def rules(self) -> Path:
        return self.path / "rules.toml"

    @property
    def questions(self) -> Path:
        return self.path / "questions.csv"

    @property
    def truth(self) -> Path:
        """Folder of the sealed truth, for its owner alone."""
        return self.path / "truth"

    @property
    def files(self) -> Path:
        """Submissions by their SHA-256."""
        return self.path / "files"

    @property
    def incoming(self) -> Path:
        """Uploads that are not whole yet."""
        return self.path / "files" / "incoming"

    @property
    def database(self) -> Path:
        """SQLite's file, where no other database is named."""
        return self.path / "board.sqlite"

    def file(self, sha256: str) -> Path:
        """Where the submission of this hash lies."""
        return self.files / sha256[:2] / f"{sha256}.zip"


def database_url(folder: ChallengeFolder, url: str | None = None) -> str:
    """The URL given, else that of the environment, else of ``config.toml``, else SQLite in the folder.

    Raises
    ------
    FormatError
        If the folder holds no challenge.
    """
    stated = url or os.environ.get(DATABASE_VARIABLE) or read_config(folder).get("database")
    if not stated:
        return f"sqlite:///{folder.database.resolve()}"
    for short in ("postgresql://", "postgres://"):
        if stated.startswith(short):
            return "postgresql+psycopg://" + stated.removeprefix(short)
    return stated


def read_config(folder: ChallengeFolder) -> dict[str, str]:
    """``config.toml``, whose version is checked.

    Raises
    ------
    FormatError
        If it is missing, is not TOML, or has another version.
    """
    if not folder.config.is_file():
        raise FormatError(
            f"{folder.path} holds no challenge (no config.toml); 'perturbarena board create' makes one"
        )
    try:
        config = tomllib.loads(folder.config.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{folder.config} cannot be read: {error}") from error
    if config.get("format_version") != FORMAT_VERSION:
        got = config.get("format_version")
        raise FormatError(f"{folder.config} has the format version {got}; this program reads {FORMAT_VERSION}")
    return {key: str(value) for key, value in config.items()}
